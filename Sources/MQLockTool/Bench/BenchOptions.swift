import MQLock
import MQLockRabbitMQ

/// The options of `mqlock bench`.
struct BenchOptions: Equatable {
    /// RabbitMQ's mutexes; nil for all of the broker's.
    var mutexes: [RabbitMQLocks.Mutex]?
    /// Acquires without contention; a quarter as many hand-overs.
    var cycles = 2000
    /// How many processes contend in each measurement of hand-overs.
    var processes = [2, 4, 16]
    /// How often a holder is killed.
    var kills = 20
    /// The program to measure in turns with ours; contains a slash.
    var beside: String?
    var isJSON = false

    var handOvers: Int { max(8, cycles / 4) }
    /// The only one on Kafka.
    static let log = "log"
}

extension BenchOptions {
    init(_ words: ReadArguments) throws(CommandFailure) {
        guard words.operands.isEmpty, words.command == nil else { throw Self.usage("bench takes options only") }
        if words.has(.quick) { (cycles, processes, kills) = (120, [2, 4], 3) }
        if let text = words.values[.mutex] { mutexes = try Self.mutexes(text) }
        if let text = words.values[.cycles] { cycles = try Self.number(text, "--cycles", 10...1_000_000) }
        if let text = words.values[.kills] { kills = try Self.number(text, "--kills", 1...10_000) }
        if let text = words.values[.processes] {
            processes = []
            for part in text.split(separator: ",", omittingEmptySubsequences: false) {
                let count = try Self.number(String(part), "--processes", 2...64)
                if !processes.contains(count) { processes.append(count) }
            }
        }
        if let path = words.values[.beside] {
            guard !path.isEmpty else { throw Self.usage("--beside takes a program") }
            beside = path.contains("/") ? path : "./\(path)"
        }
        isJSON = words.has(.json)
    }

    private static func mutexes(_ text: String) throws(CommandFailure) -> [RabbitMQLocks.Mutex] {
        let known = RabbitMQLocks.Mutex.allCases.map(\.description)
        var chosen: [RabbitMQLocks.Mutex] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let mutex = RabbitMQLocks.Mutex.allCases.first(where: { $0.description == part }) else {
                throw usage(
                    """
                    no mutex is called '\(String(part).escapedForDisplay)'; --mutex takes \
                    \(known.joined(separator: ", ")), several with commas between\
                    \(Suggestion.phrase(for: String(part), among: known))
                    """)
            }
            if !chosen.contains(mutex) { chosen.append(mutex) }
        }
        return chosen
    }

    private static func number(
        _ text: String, _ option: String, _ range: ClosedRange<Int>
    ) throws(CommandFailure) -> Int {
        guard let number = Int(text), range.contains(number) else {
            throw usage("\(option) takes a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    private static func usage(_ message: String) -> CommandFailure { .usage(message, CommandDescriptor.bench.name) }
}

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
            summary: "how often a holder is killed, 1 to 10000 (default 20)"),
        Self(
            key: .quick, long: "quick",
            summary: "120 cycles, 2 and 4 processes, 3 kills: some seconds, for a first impression"),
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
            Measures each mutex in three situations: acquire and release while nobody else is about; the hand-over from
            one process to the next; and recovery after the holder was killed (SIGKILL). Times are in microseconds.

            With --beside, PROGRAM does the same in the same run, in turns with MQLock: "raw" in the results, to which the
            ratios are. It is started as PROGRAM MUTEX QUEUE, with the broker in MQLOCK_BROKER, and takes orders as
            Sources/MQLockTool/Bench/BenchMessages.swift has them. Tests/Benchmarks/run in the repository passes one that
            sends the frames by librabbitmq, or writes and reads the records by librdkafka, and does nothing else: the limit on
            this machine and broker.

            The queues have names of this run's own and are deleted at the end, also after INT, TERM, HUP and QUIT. After a
            SIGKILL they expire, unused, in 15 days. On Kafka records of a lock of this run's own are written to the topic; how
            long recovery takes is the session of the URI and a fifth (here 3 s, if it does not say).

            --json writes objects with "event": started, measured (one a row), finished.

            Exit status: 0 when everything was measured; 64 usage; 69 broker unreachable; 70 internal error, also when
            two processes were ever seen to hold a lock at once; 77 credentials or permissions refused; 128 + n when
            signal n ended it.
            """)

    static let benchWorker = Self(
        kind: .benchWorker, summary: "one process of the benchmark", passesArguments: true, isHidden: true)
}
