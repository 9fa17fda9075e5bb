import Foundation
import MQLock
import MQLockRabbitMQ

@testable import MQLockTool

/// The table of the article *Choosing a mutex*: a column for each mutex, made from its capabilities, from its
/// ``ChoiceFacts`` and from what `mqlock bench --json` has measured of it.
struct ChoiceTable {
    struct Incomplete: Error, CustomStringConvertible {
        let description: String
    }

    private let columns: [Column]

    private struct Column {
        let capabilities: LockCapabilities
        let facts: ChoiceFacts
        let results: [BenchResult]
    }

    /// What the table has of the figures of a mutex.
    private static let measures: [BenchResult.Measure] = [.uncontended, .handOver, .recovery]

    /// - Parameter measured: the lines of `mqlock bench --json`.
    init(mutexes: [RabbitMQLocks.Mutex], measured: String) throws {
        let results = BenchFiles.results(in: measured)
        columns = try mutexes.map { mutex in
            let own = results.filter { $0.mutex == mutex.description }
            for measure in Self.measures where !own.contains(where: { $0.measure == measure }) {
                throw Incomplete(
                    description: """
                        no \(measure.rawValue) of \(mutex) in \(ChoiceArticle.figures); measure anew: \
                        Tests/Benchmarks/run --json > \(ChoiceArticle.figures)
                        """)
            }
            guard let facts = ChoiceFacts(mutex) else {
                throw Incomplete(description: "ChoiceFacts says nothing of the mutex \(mutex)")
            }
            return Column(
                capabilities: try RabbitMQLocks(.init(mutex: mutex)).capabilities, facts: facts, results: own)
        }
    }

    /// The table in Markdown.
    var markdown: String {
        let processes = columns.flatMap(\.results).map(\.processes).max() ?? 2
        let rows: [(String, (Column) -> String)] = [
            ("", { "`\($0.capabilities.mutex)`" }),
            ("longest hold", { Self.hold($0.capabilities.maximumHold) }),
            ("who is next", { $0.capabilities.firstComeFirstServed ? "first come, first served" : "anybody" }),
            ("waits for a holder elsewhere", { $0.capabilities.waitsAcrossProcesses ? "yes" : "no" }),
            ("tokens grow over a crash of the broker", { $0.capabilities.tokensSurviveBrokerCrash ? "yes" : "**no**" }),
            ("one of three nodes is lost", { $0.facts.nodeLoss }),
            ("the cluster is cut apart", { $0.facts.partition }),
            ("round trips to acquire / hand over / release", { Self.roundTrips($0.facts.roundTrips) }),
            ("on the broker for each name", { $0.facts.stored }),
            ("acquire + release, p50", { Self.time(.uncontended, 1, $0) }),
            ("hand-over, 2 processes, p50", { Self.time(.handOver, 2, $0) }),
            ("hand-overs a second, \(processes) processes", { Self.rate(processes, $0) }),
            ("next grant after SIGKILL of the holder, p50", { Self.time(.recovery, 2, $0) }),
        ]
        var lines = rows.map { title, cell in
            "| \(title) | \(columns.map(cell).joined(separator: " | ")) |"
        }
        lines.insert("|" + String(repeating: " --- |", count: columns.count + 1), at: 1)
        return lines.joined(separator: "\n") + "\n"
    }

    private static func hold(_ maximum: Duration?) -> String {
        guard let maximum else { return "as long as the session lives" }
        let seconds = maximum.components.seconds
        return "\(seconds / 60) min \(seconds % 60) s (`consumer_timeout`)"
    }

    private static func roundTrips(_ trips: ChoiceFacts.RoundTrips) -> String {
        "\(trips.acquire) / \(trips.handOver) / \(trips.release)"
    }

    private static func time(_ measure: BenchResult.Measure, _ processes: Int, _ column: Column) -> String {
        guard let result = column.results.first(where: { $0.measure == measure && $0.processes == processes }) else {
            return "not measured"
        }
        let ratio = result.ratio.map { String(format: " (%.1f × raw)", $0.p50) } ?? ""
        return String(format: "%.1f ms", result.mqlock.p50 / 1000) + ratio
    }

    private static func rate(_ processes: Int, _ column: Column) -> String {
        let result = column.results.first { $0.measure == .handOver && $0.processes == processes }
        guard let result, let rate = result.mqlock.perSecond else { return "not measured" }
        return String(format: "%.0f", rate)
            + (result.ratio?.perSecond.map { String(format: " (%.1f × raw)", $0) } ?? "")
    }
}

/// The article's file, and how to bring it up to date.
enum ChoiceArticle {
    private static let catalog = "Sources/MQLockRabbitMQ/MQLockRabbitMQ.docc"
    static let path = "\(catalog)/ChoosingAMutex.md"
    static let figures = "\(catalog)/Resources/measured.jsonl"
    /// Set to 1, the test writes the table instead of comparing it.
    static let variable = "MQLOCK_WRITE_DOCS"
    static let command = "\(variable)=1 brokers/test --filter ChoiceTableTests"

    private static let marks = (
        begin: "<!-- the table is made by ChoiceTableTests -->\n", end: "<!-- end of the table -->\n"
    )

    static func url(_ path: String) -> URL {
        URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../..")
            .appendingPathComponent(path).standardizedFileURL
    }

    /// The article with this table in the place of its own; nil when it has no place for one.
    static func text(_ article: String, with table: String) -> String? {
        guard let begin = article.range(of: marks.begin),
            let end = article.range(of: marks.end, range: begin.upperBound..<article.endIndex)
        else { return nil }
        return article.replacingCharacters(in: begin.upperBound..<end.lowerBound, with: "\n\(table)\n")
    }
}
