import MQLock

extension CommandDescriptor {
    static let show = Self(
        kind: .show, summary: "show who holds a lock and who waits for it", operands: "NAME",
        options: OptionDescriptor.show + OptionDescriptor.broker,
        notes: """
            Asks all contenders of the lock NAME, and the broker about its queue. A contender is seen when it has held or
            waited for a tenth of a second. Takes a quarter of a second when the holder answers or the lock is free,
            and -w when the holder is silent. DUR is \(DurationText.accepted).

            What contenders say about themselves nobody checks, but for the user: the broker vouches for that.

            On Kafka (kafka://host:9092,host:9092/topic) everything is in the log: nobody has to answer, and a holder that is
            stopped is shown until its session has expired. Of contenders it knows the owner and the place in line only.

            --json writes an object with "event": lock ("state": held, silent, free, unclear), then one each for holder
            and waiter: "owner", "fence" (as text), "held" or "waited" (seconds), "since", "place", "host", "pid",
            "mutex", "session", "connection", "user"; and done for the last mark of --once, as of mqlock run. Every object has
            the "time".

            Exit status:
              0    there is a holder, who has answered or is in the log
              1    none: the lock is free, or its holder does not answer
              64   bad usage; NAME has wildcards, and nobody uses a lock of that very name: see mqlock list
              69, 70, 77   as of mqlock run
            """)

    static let list = Self(
        kind: .list, summary: "list the locks that are held or waited for", operands: "[PATTERN]",
        options: OptionDescriptor.list + OptionDescriptor.broker,
        notes: """
            Asks everybody who holds a lock of the broker's virtual host, or waits for one, and prints a line for each. In
            PATTERN, * stands for any text and ? for one character; quote it.
            DUR is \(DurationText.accepted).

            Only those are seen who answer: not a hold or wait of less than a tenth of a second, nor programs that may not
            or will not be asked, nor holders that are stopped or cut off. With the management API the locks whose queues
            are in use by the broker's word are listed, too; its word is some seconds old. An unused lock is never listed.
            On Kafka all locks of the topic that are held are listed, whoever answers.

            --json writes objects with "event": lock ("time", "name", "state": held or silent, "holders", "waiters", and of
            the first holder "owner", "fence" (as text), "held" (seconds), "host", "pid", "user"), then listed ("locks",
            "vhost", "management", "unseen"; on Kafka "locks", "topic").

            Exit status:
              0    there are some
              1    none was seen
              64, 69, 70, 77   as of mqlock run
            """)

    static let observe = Self(
        kind: .observe, summary: "print a line at every change of a lock", operands: "NAME",
        options: OptionDescriptor.observe + OptionDescriptor.broker,
        notes: """
            The contenders themselves announce what happens, when it happens: waiting, left, granted, released, lost. First
            comes what there is: held and waiting. A holder that was killed cannot say so: it is lost when its successor
            is granted the lock, and silent when it has not answered for 5 to 10 seconds. Holds shorter than a tenth of a
            second may be missed, if a process has no other of the same lock. On Kafka nothing is missed, and a holder that was
            killed is lost when its session has expired.

            Goes on when the broker restarts, until INT, TERM, HUP or QUIT, and ends with 0 then. --json writes objects
            with "event": one of the words above, and the members that mqlock show --json writes, "reason" with some.
            """)

    static let breaking = Self(
        kind: .breaking, summary: "take a lock from its holder", operands: "NAME",
        options: OptionDescriptor.breaking + OptionDescriptor.broker,
        notes: """
            Shows who holds the lock NAME and who waits, and with --yes asks the holder to yield: its lease is lost with the
            reason "asked to yield", its work is ended, and the lock is handed on when that has stopped. A holder obeys the
            users of its list only: its own, unless configured otherwise. All who say that they hold the lock are asked.

            A holder that does not answer (stopped, or cut off from the broker) is dealt with by the broker's management
            API, if there is one: the connection that the broker itself names as the lock's is closed, and no other,
            whatever anybody has answered. All its locks are handed on, though it may not have noticed: until it does,
            fencing tokens are what stops it. Without the API, mqlock says which rabbitmqctl commands do the same.

            On Kafka holders obey whoever may write to the topic. The session of one that stays silent is expired once it
            cannot believe in its lease any more: after 1.2 times what the URI of the holder says for session, which -w has to
            leave time for (40s, if it says nothing).

            Exit status:
              0    the holder has lost the lock
              1    nothing broken: the lock is free, or its holder does not answer
              64   bad usage; --yes is missing
              69, 70   as of mqlock run
              77   the holder or the broker refuses
            """)

    static let clean = Self(
        kind: .clean, summary: "remove locks that nobody uses from the broker", operands: "PATTERN",
        options: OptionDescriptor.clean + OptionDescriptor.broker,
        notes: """
            Each name that was ever locked costs the broker some 100 kB of memory, until 15 days after its last use. This
            removes the queues of locks that nobody holds or waits for now, of names that match PATTERN: * stands for any
            text and ? for one character; quote it. Without --yes it only says which. The management API is needed to list
            them.

            A lock is removed by its holder, for the moment of the removal, so nobody else can hold it then. Whoever comes
            later makes it anew, and fencing tokens go on growing: a new lock begins with the time of the clock, and a lock
            whose token was made less than an hour ago is kept. Locks with marks of --once are kept.

            --json writes objects with "event": unused or removed ("name", "mutex") and kept ("name", "reason"), then end.

            Exit status: 0, also when there is nothing to remove; 64, 69, 70, 77 as of mqlock run.
            """)
}
