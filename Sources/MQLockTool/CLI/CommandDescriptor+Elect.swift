extension CommandDescriptor {
    static let elect = Self(
        kind: .elect, summary: "run a command while leading", operands: "NAME",
        options: OptionDescriptor.elect + OptionDescriptor.broker, takesCommand: true,
        notes: """
            Keeps campaigning for the leadership of NAME (1 to 200 bytes), and runs COMMAND while leading: of all processes
            that campaign, one at a time. To the broker it is the lock NAME, so mqlock show, observe and break see leaders
            and candidates, too.

            When the leadership is lost, COMMAND is ended with all that it has started, as by mqlock run (a guard process does
            it when mqlock itself is killed or stopped), and mqlock campaigns again; after leaderships that end soon it waits
            first, 100 ms to 30 s. When COMMAND ends by itself, mqlock resigns and exits with its status; with --restart
            that is so with status 0 only.

            COMMAND gets the signals and the environment that mqlock run gives it (MQLOCK_NAME, MQLOCK_OWNER, and
            MQLOCK_FENCE, larger for every later leader), with MQLOCK_MODE leader. INT, TERM, HUP and QUIT end the
            campaign, or are passed on to COMMAND, after which there is no other; a second one while mqlock still waits for
            the broker ends it at once.

            \(kafkaLocks)

            With kafka://host:9092,host:9092/topic?mutex=shards&session=20s, and partitions=N when the topic has more than one,
            the owner of NAME's shard leads. Every candidate that joins or leaves interrupts the leader: COMMAND is ended
            (2 s at most: drain=DUR) and started again. On brokers without transactions it needs claims=acknowledged.
            Those who campaign for NAME all have to name the same kind of topic.

            --json writes objects with "event": campaigning, elected, started, lost, exited, ended, resting, refused, failed,
            and the others of mqlock run; with "time", "name", "owner" and, as they apply, "fence" (as text), "held",
            "delay" (seconds), "pid", "status", "signal", "reason", "message".

            Exit status: COMMAND's own, 128 + n when signal n ended it, or ended the campaign, and
              64, 70, 71, 77, 78, 126, 127   as of mqlock run
              69   no session with the broker came up in 30 s (with mutex=shards it keeps trying)
            """)
}
