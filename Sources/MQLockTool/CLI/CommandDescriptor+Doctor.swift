extension CommandDescriptor {
    static let doctor = Self(
        kind: .doctor, summary: "look whether a broker is one that locks can rest on",
        options: OptionDescriptor.doctor + OptionDescriptor.broker,
        notes: """
            Prints a line for everything that was looked at: good, advice (it works, and could be safer or was not looked
            at) or WRONG, with what to do.

            RabbitMQ: whether it can be reached with these credentials, its version, and whether the user may do what locks
            need: a lock of each mutex is acquired and released, under names of its own (mqlock-doctor/…), and removed.
            With a memory or disk alarm that does not come to an end, and says so. What policies do to a lock's message is
            tried out: it is returned 25 times, and left alone for 5 s. A policy that waits longer shows only in the
            management API (--management), as do locks from before an upgrade of RabbitMQ, which programs are refused.

            Kafka, locks (kafka://host:9092/topic): whether the cluster can be reached, the topic's partitions, copies,
            cleanup.policy, retention, clock and election, and whether the user may do what locks need: one of a name of its
            own is taken and given back.

            Kafka, shards (kafka://host:9092/topic?mutex=shards&partitions=N): the same of the topic, whether the brokers
            take the session, and whether they have transactions (a transactional id is left there, no record). With
            records=TOPIC, also whether the service's own topic goes with it, and by which partitioner the newest records
            were written. Joins no group, so rights on the group show only in mqlock shards.

            With --create a topic of Kafka that is not there is made first, with all settings that are looked for here, 3
            copies if there are as many brokers, and as many partitions as partitions=N says (locks: 1).

            --json writes objects with "event": good, advice, wrong; "time", "subject", "message" and, if wrong, "status".

            Exit status: 0, or that of the first thing that is wrong:
              64   bad usage, or settings that the broker refuses
              69   unreachable, or no lock could be taken in 10 s
              70   internal error
              77   the broker, or a file's permissions, refused us
              78   a version or a topic that locks cannot rest on
            """)
}
