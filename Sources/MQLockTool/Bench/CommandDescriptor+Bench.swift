import MQLockRabbitMQ

extension OptionDescriptor {
    static let bench = [
        Self(
            key: .mutex, long: "mutex", value: .oneOf("KINDS", RabbitMQLocks.Mutex.allCases.map(\.description)),
            summary: "which mutexes of RabbitMQ, with commas between (default all)"),
        Self(
            key: .cycles, long: "cycles", value: .text("N"),
            summary: "acquires without contention, 10 to 1000000 (default 2000); a quarter as many hand-overs"),
        Self(
            key: .processes, long: "processes", value: .text("LIST"),
            summary: "how many processes pass the lock on, 2 to 64; several with commas between (default 2,4,16)"),
        Self(
            key: .kills, long: "kills", value: .text("N"),
            summary: "how often a holder is killed, 1 to 10000 (default 20); as often one is cut off, and a process is "
                + "started"),
        Self(
            key: .parts, long: "parts", value: .oneOf("LIST", BenchPart.allCases.map(\.rawValue)),
            summary: "what to measure, with commas between (default all)"),
        Self(
            key: .quick, long: "quick",
            summary: "120 cycles, 2 and 4 processes, 3 kills, 8 names: some seconds, for a first impression"),
        Self(
            key: .picture, long: "svg", value: .file("FILE"),
            summary: "draw how the times are distributed, as SVG"),
        Self(
            key: .save, long: "save", value: .file("FILE"),
            summary: "write the results to FILE, as --json does, for --compare"),
        Self(
            key: .compare, long: "compare", value: .file("FILE"),
            summary: "show the results as ratios to those of an earlier run, from --save"),
        Self(
            key: .beside, long: "beside", value: .file("PROGRAM"),
            summary: "for developers: measure this worker program in turns with ours, see below"),
        Self(key: .json, long: "json", summary: "results as JSON lines"),
    ]
}

extension CommandDescriptor {
    static let bench = Self(
        kind: .bench, summary: "measure the locks on your broker",
        options: OptionDescriptor.bench + OptionDescriptor.broker,
        notes: """
            Measures each mutex in these situations, which --parts chooses from. Times are in microseconds.
              uncontended  acquire and release, while nobody else is about
              hand-over    from the release to the grant of the next process
              tasks        the same among 8 and 64 tasks of one process; and how long a process with one task waits beside one
                           with 64
              first-use    acquire of a name that is new to the broker (50 of them), of one that is new to the session only,
                           and by a process that was just started
              loss         from the cut of a holder's connections until the holder is notified (RabbitMQ)
              recovery     from SIGKILL of the holder to the grant of the next process

            Under the times: the longest wait, in grants to others, and Jain's index of fairness (1 if each contender was
            granted the lock as often); the share of the grants of the one that waits beside 64; the processor time of the
            contenders for each grant, without the broker's; the memory of a process for each lock that it holds.

            --compare divides the times by those in FILE, and marks what is worse by more than a quarter. If both runs have
            been made beside a program, what is compared is the ratios to it, so that the machine's mood does not count.

            With --beside, PROGRAM does the same in the same run, in turns with MQLock: "raw" in the results, to which the
            ratios are. It is started as PROGRAM MUTEX QUEUE, with the broker in MQLOCK_BROKER, and takes orders as
            Sources/MQLockTool/Bench/BenchMessages.swift has them. Tests/Benchmarks/run in the repository passes one that
            sends the frames by librabbitmq, or writes and reads the records by librdkafka, and does nothing else: the limit on
            this machine and broker.

            The queues have names of this run's own and are deleted at the end, also after INT, TERM, HUP and QUIT. After a
            SIGKILL they expire, unused, in 15 days. On Kafka records of a lock of this run's own are written to the topic; how
            long recovery takes is the session of the URI and a fifth (here 3 s, if it does not say).

            --json writes objects with "event": started, measured (one a row), compared, finished.

            Exit status: 0 when everything was measured, worse or not; 64 usage, or a file that cannot be used; 69 broker
            unreachable; 70 internal error, also when two processes were ever seen to hold a lock at once; 77 credentials or
            permissions refused; 128 + n when signal n ended it.
            """)

    static let benchWorker = Self(
        kind: .benchWorker, summary: "one process of the benchmark", passesArguments: true, isHidden: true)
}
