import Foundation
import MQLock

/// Results as text and as JSON lines.
struct BenchReport {
    /// The lines above the results.
    struct Header: Encodable, Equatable {
        var event = "started"
        var version: String
        /// The compiler's build mode: `debug` figures are too high.
        var build = Self.ownBuild
        /// The broker's system: RabbitMQ or Kafka.
        var system = "RabbitMQ"
        /// The version that the broker reports; nil when it hides it.
        var broker: String?
        var address: String
        /// In seconds; for Kafka.
        var session: Double?
        /// The name of the program that is measured beside ours.
        var beside: String?
        var mutexes: [String]
        var cycles: Int
        var handOvers: Int
        var kills: Int
        var processes: [Int]
        var parts: [String]

        #if DEBUG
        private static let ownBuild = "debug"
        #else
        private static let ownBuild = "release"
        #endif
    }

    /// A value with an event.
    private struct Line<Value: Encodable>: Encodable {
        let event: String
        let value: Value

        private enum Key: CodingKey { case event }

        func encode(to encoder: any Encoder) throws {
            try value.encode(to: encoder)
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(event, forKey: .event)
        }
    }

    private struct Footer: Encodable {
        let event = "finished"
        let seconds: Double
    }

    static func json(_ header: Header) -> String { JSONLine.text(of: header) }
    static func json(_ result: BenchResult) -> String { JSONLine.text(of: Line(event: "measured", value: result)) }
    static func json(_ comparison: BenchComparison) -> String {
        JSONLine.text(of: Line(event: "compared", value: comparison))
    }
    static func json(finishedAfter duration: Duration) -> String {
        JSONLine.text(of: Footer(seconds: (duration.seconds * 1000).rounded() / 1000))
    }

    static func text(_ header: Header) -> String {
        """
        \(broker(header)) at \(header.address.escapedForDisplay); \
        times in microseconds\(header.beside == nil ? "" : "; ratio: mqlock to raw, which is the program of --beside")
        \(header.build == "release" ? "" : "this is a debug build, its figures are too high: swift build -c release\n")
        \(columns(["mutex", "", "p50", "p90", "p99", "a second"]))

        """
    }

    private static func broker(_ header: Header) -> String {
        if let session = header.session { return "\(header.system), session \(Duration.seconds(session).readable)," }
        return "\(header.system) \(header.broker?.escapedForDisplay ?? "of unknown version")"
    }

    static func text(_ result: BenchResult) -> String {
        var rows = [[result.mutex, result.title]] + lines("mqlock", result.mqlock)
        if let raw = result.raw { rows += lines("raw", raw) }
        if let ratio = result.ratio { rows.append(["", "ratio"] + numbers(ratio)) }
        return rows.map { columns($0) + "\n" }.joined()
    }

    static func text(_ comparison: BenchComparison) -> String {
        let title = columns([comparison.result.mutex, comparison.result.title])
        let basis = comparison.basis == .raw ? "now / then, to raw" : "now / then"
        let ratios = columns(["", basis] + numbers(comparison.ratio))
        return "\(title)\n\(ratios)\(comparison.isWorse ? "  worse" : "")\n"
    }

    /// The line above the comparisons.
    static func text(comparingWith file: String) -> String {
        """

        beside \(file.escapedForDisplay); times above 1 are longer than then, and a second below 1 fewer
        \(columns(["mutex", "", "p50", "p90", "p99", "a second"]))

        """
    }

    private static func lines(_ program: String, _ figures: BenchFigures) -> [[String]] {
        let values: [Double?] = [figures.p50, figures.p90, figures.p99, figures.perSecond]
        let times = values.map { $0.map { text($0) } ?? "" }
        return [["", "\(program), \(figures.count) times"] + times] + facts(figures).map { ["", "  \($0)"] }
    }

    /// What else is known, in words.
    private static func facts(_ figures: BenchFigures) -> [String] {
        var facts: [String] = []
        if let wait = figures.longestWait, let index = figures.jainIndex {
            facts.append("longest wait \(wait) grants, Jain's index \(text(index, digits: 3))")
        }
        if let share = figures.share { facts.append("its share of the grants \(text(share, digits: 3))") }
        if let time = figures.cpuPerGrant { facts.append("processor time \(text(time)) for each grant") }
        if let bytes = figures.bytesPerLock { facts.append("\(text(bytes)) bytes for each held lock") }
        return facts
    }

    private static func numbers(_ ratio: BenchResult.Ratio) -> [String] {
        let shares: [Double?] = [ratio.p50, ratio.p90, ratio.p99, ratio.perSecond]
        return shares.map { $0.map { text($0, digits: 2) } ?? "" }
    }

    private static func text(_ value: Double, digits: Int = 0) -> String { String(format: "%.\(digits)f", value) }

    /// Text to the left, numbers to the right.
    private static func columns(_ cells: [String]) -> String {
        let widths = [11, 24, 9, 9, 9, 10]
        var line = ""
        for (index, cell) in cells.enumerated() {
            let space = String(repeating: " ", count: max(1, widths[index] - cell.count))
            line += index < 2 ? cell + space : space + cell
        }
        return String(line.reversed().drop { $0 == " " }.reversed())
    }
}
