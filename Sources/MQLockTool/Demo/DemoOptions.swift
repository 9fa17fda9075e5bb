import MQLock

/// The options of `mqlock demo`.
struct DemoOptions: Equatable {
    /// How many processes contend at a time.
    var workers = 5
    /// How many times a holder is killed and another one stopped.
    var rounds = 3
    var lock = "mqlock-demo"
    /// Whether the workers acquire no lock at all, to show that the checks would notice.
    var isSabotage = false
    /// Events as JSON lines instead of the view.
    var isJSON = false
}

extension DemoOptions {
    init(_ words: ReadArguments) throws(CommandFailure) {
        func usage(_ message: String) -> CommandFailure { .usage(message, CommandDescriptor.demo.name) }
        guard words.operands.isEmpty, words.command == nil else {
            throw usage("demo takes options only; the lock's name is given by --lock")
        }
        if let text = words.values[.rounds] { rounds = try Self.number(text, "--rounds", 1...1000) }
        if let text = words.values[.workers] { workers = try Self.number(text, "--workers", 2...64) }
        lock = words.values[.lock] ?? lock
        isSabotage = words.has(.sabotage)
        isJSON = words.has(.json)
        do throws(LockError) {
            _ = try LockName(lock)
        } catch {
            throw usage(error.message)
        }
    }

    private static func number(
        _ text: String, _ option: String, _ range: ClosedRange<Int>
    ) throws(CommandFailure) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw .usage(
                "\(option) takes a number from \(range.lowerBound) to \(range.upperBound)", CommandDescriptor.demo.name)
        }
        return number
    }
}

extension OptionDescriptor {
    static let demo = [
        Self(
            key: .rounds, long: "rounds", value: .text("N"),
            summary: "how often a holder is killed and another one stopped, 1 to 1000 (default 3, half a minute)"),
        Self(key: .workers, long: "workers", value: .text("N"), summary: "contending processes, 2 to 64 (default 5)"),
        Self(key: .lock, long: "lock", value: .text("NAME"), summary: "the lock's name (default mqlock-demo)"),
        Self(key: .json, long: "json", summary: "events and the verdict as JSON lines"),
        Self(
            key: .sabotage, long: "sabotage",
            summary: "take no lock: the overlap must be found, and the exit status is 1"),
    ]
}

extension CommandDescriptor {
    static let demo = Self(
        kind: .demo, summary: "see the locks at work on your broker",
        options: OptionDescriptor.demo + OptionDescriptor.broker,
        notes: """
            Worker processes contend for one lock around a shared file. In each round one holder is killed (SIGKILL) and
            another one stopped (SIGSTOP) past its proof and continued: its write has to be refused for its stale token.
            Ends with the hand-overs, their times, and the verdict of the history checker. On Kafka the sessions live for 3 s,
            unless the URI says otherwise.

            Exit status: 0 when no two ever overlapped and no stale write got through, else 1; 64 usage; 69 broker
            unreachable; 70 internal error; 77 credentials or permissions refused; 78 incompatible object on the broker.
            """)
}
