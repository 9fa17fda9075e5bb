/// Writes numbers, ids and texts in the lock log's format: big-endian, texts after their length.
struct LogBytesWriter {
    private(set) var bytes: [UInt8] = []

    mutating func put(_ number: some FixedWidthInteger) {
        withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
    }

    mutating func put(_ raw: [UInt8]) { bytes.append(contentsOf: raw) }

    mutating func put<Length: FixedWidthInteger>(_ text: [UInt8], length _: Length.Type) {
        // Too long a text is cut: only texts for people can be too long.
        let part = text.prefix(Int(clamping: Length.max))
        put(Length(part.count))
        bytes.append(contentsOf: part)
    }
}

/// Reads what ``LogBytesWriter`` writes. Everything in it comes from outside.
struct LogBytesReader {
    struct Malformed: Error {}

    private var rest: ArraySlice<UInt8>

    init(_ bytes: [UInt8]) { rest = bytes[...] }

    var isAtEnd: Bool { rest.isEmpty }

    mutating func number<Number: FixedWidthInteger>(_: Number.Type = Number.self) throws(Malformed) -> Number {
        var number: Number = 0
        for byte in try raw(MemoryLayout<Number>.size) { number = number << 8 | Number(truncatingIfNeeded: byte) }
        return number
    }

    mutating func raw(_ count: Int) throws(Malformed) -> ArraySlice<UInt8> {
        guard count <= rest.count else { throw Malformed() }
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    mutating func text<Length: FixedWidthInteger>(_: Length.Type) throws(Malformed) -> [UInt8] {
        let count = try number(Length.self)
        return Array(try raw(Int(count)))
    }

    mutating func everything() -> [UInt8] {
        defer { rest = [] }
        return Array(rest)
    }
}
