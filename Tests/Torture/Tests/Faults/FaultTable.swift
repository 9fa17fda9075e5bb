import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

/// The table of the article Faults, which is what the tests saw: each test compares its rows with it, or writes them.
///
/// With MQLOCK_WRITE_TABLE=PATH the rows that are seen take their place in the table at PATH. What other versions of the
/// broker showed stays; rows that are alike on several are one.
enum FaultTable {
    private static let article = "Sources/MQLockRabbitMQ/MQLockRabbitMQ.docc/Faults.md"
    private static let begin = "<!-- The table is written by brokers/test --faults. -->"
    private static let end = "<!-- End of the table. -->"
    private static let head = """
        | Fault | Mutex | The holder | A waiter | Tokens | Afterwards | Knew, held | Seen on | Test |
        | --- | --- | --- | --- | --- | --- | --- | --- | --- |
        """

    /// One row: mutexes that behaved alike share it.
    struct Row {
        var fault: String
        var mutexes: [String]
        var words: [String]
        /// In the run that wrote the row first.
        var times: String
        /// The versions of RabbitMQ, ascending.
        var versions: [BrokerVersion]
        var test: String

        var text: String {
            let versions = versions.map(\.description).joined(separator: ", ")
            let cells = [fault, mutexes.joined(separator: ", ")] + words + [times, versions, "`\(test)`"]
            return "| \(cells.joined(separator: " | ")) |"
        }

        func isSeen(on version: BrokerVersion) -> Bool { versions.contains { $0.isSameSeries(as: version) } }

        init(_ fault: Fault, _ seen: [(mutex: MutexUnderTest, observation: Observation)], test: String) {
            self.fault = fault.rawValue
            mutexes = seen.map(\.mutex.description)
            words = seen[0].observation.words
            let (knew, held) = (seen.compactMap(\.observation.holderKnew), seen.compactMap(\.observation.waiterHeld))
            times = [knew.max(), held.max()].map { $0?.rounded ?? "–" }.joined(separator: ", ")
            versions = [FaultTable.version]
            self.test = test
        }

        init?(_ line: Substring) {
            let cells = line.split(separator: "|", omittingEmptySubsequences: false).dropFirst().dropLast().map {
                $0.trimmingCharacters(in: .whitespaces)
            }
            guard cells.count == 9 else { return nil }
            (fault, mutexes, words) = (cells[0], cells[1].components(separatedBy: ", "), Array(cells[2...5]))
            versions = cells[7].components(separatedBy: ", ").map { BrokerVersion(announced: $0) }
            (times, test) = (cells[6], cells[8].trimmingCharacters(in: CharacterSet(charactersIn: "`")))
        }
    }

    /// The broker's, of this run.
    static let version = LiveBroker.shared?.version ?? BrokerVersion(announced: nil)

    static let howToWrite = "run `brokers/test --faults`, which writes it to \(article), and look at what changed"

    /// Every fault's rows of the committed table.
    static func committed() throws -> [Row] { try rows(of: read(path(article))) }

    /// Compares what one test saw of one fault with the table, or writes it there.
    static func record(
        _ fault: Fault, _ seen: [(mutex: MutexUnderTest, observation: Observation)], test: String,
        at location: SourceLocation
    ) throws {
        var fresh: [Row] = []
        for one in seen {
            let words = one.observation.words
            #expect(!words.contains { $0.isEmpty || $0.contains("|") }, "\(words)", sourceLocation: location)
            let alike = seen.filter { $0.observation.words == words }
            if alike[0].mutex.description == one.mutex.description { fresh.append(Row(fault, alike, test: test)) }
        }
        for row in fresh { print(row.text) }
        if let path = ProcessInfo.processInfo.environment["MQLOCK_WRITE_TABLE"] { return try write(fresh, to: path) }
        let committed = try committed().filter { $0.fault == fault.rawValue }
        // Of a version that the table does not have, what the last one before it showed is expected.
        let last = committed.flatMap(\.versions).filter { $0 <= version || $0.isSameSeries(as: version) }.max()
        let wanted = committed.filter { row in last.map { row.isSeen(on: $0) } ?? false }
        for one in seen {
            let row = wanted.first { $0.mutexes.contains(one.mutex.description) }
            #expect(
                row?.words == one.observation.words && row?.test == test,
                """
                \(fault.rawValue), \(one.mutex), RabbitMQ \(version): the table says \(row?.text ?? "nothing"); if that is not what it \
                should be, \(howToWrite)
                """, sourceLocation: location)
        }
    }

    private static let writing = Locked(())

    private static func write(_ fresh: [Row], to path: String) throws {
        try writing.withLock { _ in try writeAlone(fresh, to: path) }
    }

    private static func writeAlone(_ fresh: [Row], to path: String) throws {
        let text = try read(path)
        let parts = text.components(separatedBy: begin)
        var kept = try rows(of: text)
        for index in kept.indices where fresh.contains(where: { $0.fault == kept[index].fault }) {
            kept[index].versions.removeAll { $0.isSameSeries(as: version) }
        }
        for row in fresh {
            let alike = kept.firstIndex {
                ($0.fault, $0.mutexes, $0.words, $0.test) == (row.fault, row.mutexes, row.words, row.test)
            }
            guard let alike else { kept.append(row); continue }
            if kept[alike].versions.isEmpty { kept[alike].times = row.times }
            kept[alike].versions = (kept[alike].versions + row.versions).sorted()
        }
        kept.removeAll(where: \.versions.isEmpty)
        // In the order of the cases; rows of faults that are no more go.
        let ordered = Fault.allCases.flatMap { fault in kept.filter { $0.fault == fault.rawValue } }
        let after = parts[1].components(separatedBy: end)[1]
        let table = ([head] + ordered.map(\.text)).joined(separator: "\n")
        try "\(parts[0])\(begin)\n\(table)\n\(end)\(after)".write(toFile: path, atomically: true, encoding: .utf8)
    }

    private static func rows(of text: String) throws -> [Row] {
        let parts = text.components(separatedBy: begin)
        guard parts.count == 2, parts[1].contains(end) else {
            throw Overdue(what: "the lines \(begin) and \(end) in the article of faults", limit: .zero)
        }
        let lines = parts[1].components(separatedBy: end)[0].split(separator: "\n")
        return lines.dropFirst(2).compactMap(Row.init)
    }

    private static func read(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }

    private static func path(_ file: String) -> String {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../../..")
            .appendingPathComponent(file).standardizedFileURL.path
    }
}

extension BrokerVersion {
    /// Whether they differ in the last number only.
    fileprivate func isSameSeries(as other: Self) -> Bool { (major, minor) == (other.major, other.minor) }
}

extension Duration {
    /// With as many digits as one measurement is worth.
    fileprivate var rounded: String {
        let milliseconds = Double(nanoseconds) / 1_000_000
        if milliseconds < 10 { return "\((milliseconds * 10).rounded() / 10) ms" }
        return milliseconds < 1000
            ? "\(Int(milliseconds.rounded())) ms" : "\((milliseconds / 100).rounded() / 10) s"
    }
}
