/// Which letters stand for the digits above 9.
package enum HexadecimalCase: Sendable { case lower, upper }

extension FixedWidthInteger where Self: UnsignedInteger {
    /// At least so many lower-case digits.
    package func hexadecimal(_ width: Int) -> String {
        let digits = String(self, radix: 16)
        return String(repeating: "0", count: Swift.max(0, width - digits.count)) + digits
    }
}

extension UInt8 {
    /// The value of an ASCII digit; nil for any other byte.
    /// - Parameter letters: which letters are digits; nil takes both.
    package func hexadecimalDigit(_ letters: HexadecimalCase?) -> UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f") where letters != .upper: self - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F") where letters != .lower: self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
