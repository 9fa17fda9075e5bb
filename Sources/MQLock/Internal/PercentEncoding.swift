extension String {
    /// Control characters and `%` as `%0A`, the rest as it is: on one line, and to be read back byte by byte.
    package var percentEncoded: String {
        guard utf8.contains(where: \.needsPercent) else { return self }
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        bytes.reserveCapacity(utf8.count + 16)
        for byte in utf8 {
            if byte.needsPercent {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Reads what ``percentEncoded`` writes, and nothing else: nil for a lone `%`, for lower-case digits, for a character
    /// that need not be encoded, and for bytes that are not UTF-8.
    package init?(percentEncoded text: some StringProtocol) {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                guard !byte.needsPercent else { return nil }
                bytes.append(byte)
                continue
            }
            guard let high = rest.popFirst()?.hexDigit, let low = rest.popFirst()?.hexDigit else { return nil }
            let decoded = high << 4 | low
            guard decoded.needsPercent else { return nil }
            bytes.append(decoded)
        }
        guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
        self = text
    }
}

extension UInt8 {
    fileprivate var needsPercent: Bool { self < 0x20 || self == 0x7F || self == UInt8(ascii: "%") }

    fileprivate var hexDigit: UInt8? {
        switch self {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): self - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): self - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
