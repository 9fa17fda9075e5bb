/// Distinguishes one thing from every other without asking anyone: 128 random bits.
package struct RandomID: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The first 64 bits.
    package let high: UInt64
    /// The other 64 bits.
    package let low: UInt64

    /// A new one.
    package init() {
        high = .random(in: 0 ... .max)
        low = .random(in: 0 ... .max)
    }

    /// The one with these bits.
    package init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

    /// Reads what ``description`` writes; nil for anything else.
    package init?(_ text: some StringProtocol) {
        var parts: (high: UInt64, low: UInt64) = (0, 0)
        var count = 0
        for byte in text.utf8 {
            guard let digit = byte.hexadecimalDigit(.lower), count < 32 else { return nil }
            parts.high = parts.high << 4 | parts.low >> 60
            parts.low = parts.low << 4 | UInt64(digit)
            count += 1
        }
        guard count == 32 else { return nil }
        (high, low) = parts
    }

    /// 32 lower-case hexadecimal digits.
    package var description: String { high.hexadecimal(16) + low.hexadecimal(16) }

    /// In the order of the descriptions.
    package static func < (left: Self, right: Self) -> Bool { (left.high, left.low) < (right.high, right.low) }
}
