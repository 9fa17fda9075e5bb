/// Percent encoding: some bytes of a text as `%0A`, the rest as they are.
package struct PercentCoding: Sendable {
    private let letters: HexadecimalCase
    private let isEncoded: @Sendable (UInt8) -> Bool

    /// - Parameters:
    ///   - letters: which digits are written.
    ///   - isEncoded: which bytes are encoded; `%` always is.
    package init(_ letters: HexadecimalCase, isEncoded: @escaping @Sendable (UInt8) -> Bool) {
        self.letters = letters
        self.isEncoded = { $0 == UInt8(ascii: "%") || isEncoded($0) }
    }

    /// Control characters and `%`: on one line, and to be read back byte by byte.
    package static let line = Self(.upper) { $0 < 0x20 || $0 == 0x7F }
    /// All but printable ASCII without the blank.
    package static let word = Self(.lower) { $0 <= 0x20 || $0 >= 0x7F }
    /// All but what RFC 3986 calls unreserved: any part of a URI.
    package static let uri = Self(.lower) { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            false
        default: true
        }
    }

    /// Whether a byte is encoded.
    package func encodes(_ byte: UInt8) -> Bool { isEncoded(byte) }

    /// The encoded text.
    package func encode(_ text: some StringProtocol) -> String {
        guard text.utf8.contains(where: isEncoded) else { return String(text) }
        let digits = Array((letters == .lower ? "0123456789abcdef" : "0123456789ABCDEF").utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 16)
        for byte in text.utf8 {
            if isEncoded(byte) {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// How a text is read.
    package enum Reading: Sendable {
        /// Only what ``encode(_:)`` writes, so each text has one form.
        case strict
        /// Any byte may be encoded or not, with digits of either case.
        case lenient
    }

    /// The decoded text; nil for text that cannot be decoded this way, and for bytes that are not UTF-8.
    package func decode(_ text: some StringProtocol, _ reading: Reading) -> String? {
        bytes(of: text, reading).flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// The decoded bytes, whatever they are; nil for a `%` without two digits, and for anything that a strict reading
    /// refuses.
    package func bytes(of text: some StringProtocol, _ reading: Reading) -> [UInt8]? {
        let isStrict = reading == .strict
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                if isStrict && isEncoded(byte) { return nil }
                bytes.append(byte)
                continue
            }
            let letters = isStrict ? letters : nil
            guard let high = rest.popFirst()?.hexadecimalDigit(letters),
                let low = rest.popFirst()?.hexadecimalDigit(letters)
            else { return nil }
            let decoded = high << 4 | low
            if isStrict && !isEncoded(decoded) { return nil }
            bytes.append(decoded)
        }
        return bytes
    }
}

extension String {
    /// Encoded as ``PercentCoding/line``: how names stand on the broker.
    package var percentEncoded: String { PercentCoding.line.encode(self) }

    /// Reads what ``percentEncoded`` writes, and nothing else.
    package init?(percentEncoded text: some StringProtocol) {
        guard let text = PercentCoding.line.decode(text, .strict) else { return nil }
        self = text
    }
}
