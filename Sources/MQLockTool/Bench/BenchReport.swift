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

        #if DEBUG
        private static let ownBuild = "debug"
        #else
        private static let ownBuild = "release"
        #endif
    }

    private struct Line: Encodable {
        let event = "measured"
        let result: BenchResult

        private enum Key: CodingKey { case event }

        func encode(to encoder: any Encoder) throws {
            try result.encode(to: encoder)
            var container = encoder.container(keyedBy: Key.self)
            try container.encode(event, forKey: .event)
        }
    }

    private struct Footer: Encodable {
        let event = "finished"
        let seconds: Double
    }

    static func json(_ header: Header) -> String { JSONLine.text(of: header) }
    static func json(_ result: BenchResult) -> String { JSONLine.text(of: Line(result: result)) }
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
        let ours = result.mqlock
        var rows = [
            [result.mutex, title(result)],
            ["", "mqlock, \(ours.count) times"] + numbers(ours),
        ]
        if let raw = result.raw { rows.append(["", "raw, \(raw.count) times"] + numbers(raw)) }
        if let ratio = result.ratio {
            let shares: [Double?] = [ratio.p50, ratio.p90, ratio.p99, ratio.perSecond]
            rows.append(["", "ratio"] + shares.map { $0.map { String(format: "%.2f", $0) } ?? "" })
        }
        return rows.map { columns($0) + "\n" }.joined()
    }

    private static func title(_ result: BenchResult) -> String {
        switch result.measure {
        case .uncontended: "acquire + release, uncontended"
        case .handOver: "hand-over, \(result.processes) processes"
        case .recovery: "recovery after SIGKILL of the holder"
        }
    }

    private static func numbers(_ figures: BenchFigures) -> [String] {
        let values: [Double?] = [figures.p50, figures.p90, figures.p99, figures.perSecond]
        return values.map { $0.map { String(format: "%.0f", $0) } ?? "" }
    }

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
