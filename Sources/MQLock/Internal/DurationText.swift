/// Durations as people write them on a command line.
package enum DurationText {
    package static let accepted = "500ms, 2s, 1.5m, 1h, or a bare number of seconds"

    private static let units: [(suffix: String, nanoseconds: Int64)] = [
        ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000), ("", 1_000_000_000),
    ]
    /// A year: anything longer is a slip, and far below it everything that adds to an instant stays in range.
    private static let maximum = Duration.seconds(366 * 24 * 3600)

    /// Reads a duration; nil for anything but digits, at most one point between them, and a unit.
    package static func parse(_ text: String) -> Duration? {
        guard let unit = units.first(where: { text.hasSuffix($0.suffix) }) else { return nil }
        let parts = text.dropLast(unit.suffix.count).split(separator: ".", omittingEmptySubsequences: false)
        guard (1...2).contains(parts.count), parts.allSatisfy({ !$0.isEmpty && $0.utf8.allSatisfy(isDigit) }),
            let whole = Int64(parts[0])
        else { return nil }
        let (nanoseconds, overflow) = whole.multipliedReportingOverflow(by: unit.nanoseconds)
        guard !overflow else { return nil }
        var total = Duration.nanoseconds(nanoseconds)
        if parts.count == 2 {
            // Nine digits reach below what any clock here resolves, and cannot overflow.
            let digits = parts[1].prefix(9)
            guard let fraction = Int64(digits) else { return nil }
            let scale = (0..<digits.count).reduce(Int64(1)) { scale, _ in scale * 10 }
            total += .nanoseconds(unit.nanoseconds) * fraction / scale
        }
        return total <= maximum ? total : nil
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
}
