import Foundation
import MQLock

/// The distributions of a run's times as SVG: a panel for each row of the results, with the share of all times that are at
/// most so long.
struct BenchPicture {
    private let title: String
    private let measurements: [BenchMeasurement]

    private static let columns = 3
    private static let (panelWidth, panelHeight) = (320.0, 230.0)
    /// The frame of the curves within a panel.
    private static let (left, top, width, height) = (44.0, 44.0, 260.0, 140.0)
    private static let (header, points) = (56.0, 100)
    private static let shares = [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (1.0, "100 %")]
    private static let (oursColor, rawColor) = ("#0b62a8", "#c2571a")

    /// - Parameter title: what was measured, on which broker.
    init(title: String, _ measurements: [BenchMeasurement]) {
        (self.title, self.measurements) = (title, measurements)
    }

    var svg: String {
        let rows = (measurements.count + Self.columns - 1) / Self.columns
        let width = Self.panelWidth * Double(Self.columns)
        let height = Self.header + Self.panelHeight * Double(max(1, rows))
        var svg = """
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Self.number(width)) \(Self.number(height))" \
            width="\(Self.number(width))" height="\(Self.number(height))" font-family="sans-serif" font-size="11">
            <title>\(Self.escaped(title))</title>
            <rect width="100%" height="100%" fill="white"/>
            \(Self.text(12, 22, title, "font-size=\"14\""))
            \(Self.text(12, 42, "mqlock", "fill=\"\(Self.oursColor)\""))

            """
        if measurements.contains(where: { $0.raw != nil }) {
            svg += Self.text(64, 42, "raw, the program of --beside", "fill=\"\(Self.rawColor)\"") + "\n"
        }
        for (index, measurement) in measurements.enumerated() {
            let x = Self.panelWidth * Double(index % Self.columns)
            let y = Self.header + Self.panelHeight * Double(index / Self.columns)
            svg += "<g transform=\"translate(\(Self.number(x)) \(Self.number(y)))\">\n\(Self.panel(measurement))</g>\n"
        }
        return svg + "</svg>\n"
    }

    // MARK: A panel

    private static func panel(_ measurement: BenchMeasurement) -> String {
        let curves = [(measurement.raw, rawColor), (measurement.mqlock, oursColor)]
            .compactMap { sample, color in sample.map { (quantiles($0), color) } }
        let times = curves.flatMap(\.0)
        let axis = LogarithmicAxis(from: times.min() ?? 1, to: times.max() ?? 1)
        var panel = text(left, 16, measurement.result.mutex, "font-weight=\"bold\"") + "\n"
        panel += text(left, 32, measurement.result.title) + "\n"
        for (share, label) in shares {
            let y = top + height * (1 - share)
            panel += line(left, y, left + width, y)
            panel += text(left - 4, y + 4, label, "text-anchor=\"end\"") + "\n"
        }
        for (time, label) in axis.marks {
            let x = left + width * axis.position(of: time)
            panel += line(x, top, x, top + height)
            panel += text(x, top + height + 16, label, "text-anchor=\"middle\"") + "\n"
        }
        for (times, color) in curves where !times.isEmpty {
            let points = times.enumerated().map { index, time in
                let share = Double(index) / Double(max(1, times.count - 1))
                return "\(number(left + width * axis.position(of: time))),\(number(top + height * (1 - share)))"
            }
            panel += """
                <polyline fill="none" stroke="\(color)" stroke-width="1.6" points="\(points.joined(separator: " "))"/>

                """
        }
        return panel
    }

    /// Equally many times lie between one and the next, in microseconds.
    private static func quantiles(_ sample: BenchSample) -> [Double] {
        let sorted = sample.durations.sorted()
        let count = min(points, sorted.count)
        let chosen = (0..<count).map { sorted[$0 * sorted.count / count] } + sorted.suffix(1)
        // Shorter times have no place on the axis.
        return chosen.map { max(0.1, Double($0) / 1000) }
    }

    // MARK: Elements

    private static func line(_ x1: Double, _ y1: Double, _ x2: Double, _ y2: Double) -> String {
        """
        <line x1="\(number(x1))" y1="\(number(y1))" x2="\(number(x2))" y2="\(number(y2))" stroke="#ddd"/>

        """
    }

    private static func text(_ x: Double, _ y: Double, _ text: String, _ attributes: String = "") -> String {
        "<text x=\"\(number(x))\" y=\"\(number(y))\" \(attributes)>\(escaped(text))</text>"
    }

    private static func number(_ value: Double) -> String { String(format: "%.1f", value) }

    private static func escaped(_ text: String) -> String {
        text.escapedForDisplay.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }
}

/// An axis of times in microseconds on which each decade is as long as the next.
struct LogarithmicAxis {
    /// Powers of ten.
    private let first, last: Int

    init(from shortest: Double, to longest: Double) {
        let first = Int(log10(shortest).rounded(.down))
        (self.first, last) = (first, max(first + 1, Int(log10(longest).rounded(.up))))
    }

    /// From 0 to 1.
    func position(of time: Double) -> Double { (log10(time) - Double(first)) / Double(last - first) }

    /// The powers of ten, with their names.
    var marks: [(time: Double, label: String)] {
        (first...last).map { exponent in
            let time = pow(10, Double(exponent))
            return switch exponent {
            case ..<0: (time, "\(time.rounded(to: 2)) µs")
            case 0..<3: (time, String(format: "%.0f µs", time))
            case 3..<6: (time, String(format: "%.0f ms", time / 1000))
            default: (time, String(format: "%.0f s", time / 1_000_000))
            }
        }
    }
}
