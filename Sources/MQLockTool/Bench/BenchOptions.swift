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
    /// How many new names are used.
    var names = 50
    /// What is measured, in the order in which it is.
    var parts = BenchPart.allCases
    /// The program to measure in turns with ours; contains a slash.
    var beside: String?
    /// The files to write: distributions as a picture, and results.
    var picture, saved: String?
    /// The file with the results to compare with.
    var compared: String?
    var isJSON = false

    var handOvers: Int { max(8, cycles / 4) }
    /// The only one on Kafka.
    static let log = "log"
}

extension BenchOptions {
    init(_ words: ReadArguments) throws(CommandFailure) {
        guard words.operands.isEmpty, words.command == nil else { throw Self.usage("bench takes options only") }
        if words.has(.quick) { (cycles, processes, kills, names) = (120, [2, 4], 3, 8) }
        if let text = words.values[.mutex] {
            let all = RabbitMQLocks.Mutex.allCases
            mutexes = try Self.chosen(text, "--mutex", "mutex", of: all, names: all.map(\.description))
        }
        if let text = words.values[.parts] {
            let all = BenchPart.allCases
            let parts = try Self.chosen(text, "--parts", "part", of: all, names: all.map(\.rawValue))
            self.parts = all.filter(parts.contains)
        }
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
        picture = try Self.file(words, .picture, "--svg")
        saved = try Self.file(words, .save, "--save")
        compared = try Self.file(words, .compare, "--compare")
        isJSON = words.has(.json)
    }

    /// The values whose names are in the text, in its order.
    private static func chosen<Value: Equatable>(
        _ text: String, _ option: String, _ kind: String, of all: [Value], names: [String]
    ) throws(CommandFailure) -> [Value] {
        var chosen: [Value] = []
        for part in text.split(separator: ",", omittingEmptySubsequences: false) {
            guard let index = names.firstIndex(where: { $0 == part }) else {
                throw usage(
                    """
                    no \(kind) is called '\(String(part).escapedForDisplay)'; \(option) takes \
                    \(names.joined(separator: ", ")), several with commas between\
                    \(Suggestion.phrase(for: String(part), among: names))
                    """)
            }
            if !chosen.contains(all[index]) { chosen.append(all[index]) }
        }
        return chosen
    }

    private static func file(
        _ words: ReadArguments, _ key: OptionDescriptor.Key, _ option: String
    ) throws(CommandFailure) -> String? {
        guard let path = words.values[key] else { return nil }
        guard !path.isEmpty else { throw usage("\(option) takes a file") }
        return path
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
