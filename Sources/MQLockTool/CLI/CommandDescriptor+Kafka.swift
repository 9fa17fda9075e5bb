import MQLock

extension CommandDescriptor {
    static let shards = Self(
        kind: .shards, summary: "own shards of a Kafka topic, and print what happens to them",
        options: OptionDescriptor.shards,
        notes: """
            Joins the group that shares out the shards (partitions) of a lock topic, as a service with MQLockKafka does,
            and prints a line at every change. The broker is kafka://host:9092,host:9092/topic; its options:
            \(kafkaOptions)
            The topic has to exist and to be compacted. DUR is \(DurationText.accepted).

            The events, as words or with --json as objects with "event", "topic", "owner", "time" and, as they apply,
            "shard", "fence" (as text), "reason", "partitions", "session" (seconds), "status", "message":
              joining                the group is being joined
              owned, regained        the shard is ours, from its claim on; regained: after an interruption
              draining               we have to give it up, and its work to end
              interrupted            interrupted by a rebalance; regained or released follows
              released               released in good order
              lost                   lost without a hand-over: another member may have it already
              warning                somebody has to look at it: nothing can be owned before, or the network is not safe
              left, failed           the last line

            INT, TERM, HUP and QUIT: claims nothing more, drains, leaves the group and exits with 0; so does a closed
            standard output. A second signal, a second later or more, ends it at once: its shards are then owned again after
            the session.

            Exit status:
              0    left the group
              64   bad usage, or settings that the broker refuses
              69   no broker of the cluster answered in 30 s
              70   internal error
              77   the cluster, or a file's permissions, refused us
              78   no such topic, or one with another number of partitions
              128 + n   ended by a second signal n
            """)

    /// What a `kafka://` URI means to commands for locks.
    static let kafkaLocks = """
        On Kafka the broker is kafka://host:9092,host:9092/topic: the locks of that topic, which is for them alone
        ('mqlock doctor --create' makes it). Its options are
          session=DUR            how long a holder's session lives without a sign of life (30s); then a fifth more
          partitions=N           over how many partitions names are spread (1); the same everywhere
        and those for the connection that mqlock help shards lists. With mutex=shards it means the shards of a topic, which
        only mqlock elect and doctor know, and mqlock shards without saying so.
        """

    /// The options of `kafka://` URIs, for the notes of a command.
    static let kafkaOptions = """
          mutex=shards           not needed here: what mqlock elect and doctor are to know
          session=DUR            after how long without a sign of life our shards are given to others (20s)
          drain=DUR              how long work on a shard may take to end (2s)
          partitions=N           as --partitions
          records=TOPIC          the service's own topic, of which the owners of shards read the partitions
          group=NAME             the consumer group (mqlock.v1/topic)
          partitioner=NAME       how keys are spread: murmur2 (default), or consistent_random, librdkafka's own
          claims=acknowledged    for brokers without transactions; all members alike
          lead=DUR               how far ahead of the clock a token may be (24h)
          tls=true, cacertfile, certfile, keyfile
          insecure=true          with tls: the broker's certificate and name are not verified; for tests
          auth_mechanism         of kafka://user:password@…: plain, scram-sha-256, scram-sha-512 (default)
          any.other              a property of librdkafka that has a dot in its name
        """
}
