/// Inputs for code that reads bytes from outside: valid ones that were mangled, and random bytes. The same seed gives
/// the same inputs.
package struct FuzzInputs: Sendable {
    private var random: SeededGenerator
    private let examples: [[UInt8]]
    /// What a mutation inserts: words of the language, numbers at their limits, and pieces of text.
    private let pieces: [[UInt8]]

    /// - Parameters:
    ///   - examples: valid inputs.
    ///   - words: of the language that is read.
    package init(seed: UInt64, examples: [[UInt8]], words: [String] = []) {
        precondition(!examples.isEmpty && !examples.contains([]), "mutations need something to begin with")
        random = SeededGenerator(seed)
        self.examples = examples
        pieces = (words + Self.numbers).map { Array($0.utf8) } + Self.oddities
    }

    /// At the limits of every width, and spellings of numbers that are not numbers here.
    private static let numbers = [
        "0", "1", "-1", "-0", "+1", "00", "01", "1.", ".5", "1e9", "1e999", "0x10", "127", "128", "255", "256", "32767",
        "32768", "65535", "65536", "2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296",
        "9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808",
        "-9223372036854775809",
        "18446744073709551615", "18446744073709551616", "99999999999999999999999999999999999999999", "NaN", "\u{663}",
        "\u{FF11}",
    ]

    private static let oddities: [[UInt8]] =
        [
            "\0", "\n", "\r", "\r\n", "\n\n", " ", "  ", "\t", "%", "%0", "%00", "%0A", "%ff", "%FF", "%25", "\u{7F}",
            "\u{85}", "\u{A0}", "\u{301}", "\u{200D}", "\u{202E}", "\u{2028}", "\u{FEFF}", "\u{E9}", "e\u{301}",
            "\u{10FFFF}", "👩‍👩‍👧", ":", "/", "?", "#", "@", "&", "=", ",", "[", "]", "{", "}", "\"", "'", "\\", "-", "--",
        ].map { Array($0.utf8) } + [
            // Not UTF-8: cut off, too long for what it says, half of a pair, beyond the last.
            [0xC3], [0x80], [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0, 0, 0, 0],
            [0xFF, 0xFF, 0xFF, 0xFF], [0x7F, 0xFF, 0xFF, 0xFF],
            [UInt8](repeating: UInt8(ascii: "a"), count: 300), [UInt8](repeating: UInt8(ascii: "9"), count: 60),
            [UInt8](repeating: UInt8(ascii: "["), count: 600), [UInt8](repeating: UInt8(ascii: "%"), count: 40),
        ]

    /// The next one.
    package mutating func next() -> [UInt8] {
        if below(12) == 0 { return noise() }
        var bytes = examples[below(examples.count)]
        // Few changes find what many hide, and the other way round.
        for _ in 0...below(below(4) == 0 ? 8 : 2) { mutate(&bytes) }
        return bytes
    }

    /// One of this many things: a byte, an index, a choice.
    private mutating func below(_ count: Int) -> Int { Int(truncatingIfNeeded: random.next() >> 33) % count }

    private mutating func noise() -> [UInt8] {
        let isText = below(2) == 0
        return (0..<below(below(2) == 0 ? 8 : 120)).map { _ in
            isText ? UInt8(0x20 + below(0x5F)) : UInt8(truncatingIfNeeded: random.next())
        }
    }

    private mutating func mutate(_ bytes: inout [UInt8]) {
        let place = below(bytes.count + 1)
        let end = min(bytes.count, place + 1 + below(below(4) == 0 ? 40 : 4))
        switch below(10) {
        case 0 where place < bytes.count: bytes[place] = UInt8(truncatingIfNeeded: random.next())
        case 1 where place < bytes.count: bytes[place] ^= 1 << UInt8(below(8))
        case 2: bytes.removeSubrange(place..<end)
        case 3: bytes.insert(contentsOf: bytes[place..<end], at: place)
        case 4: bytes.insert(UInt8(truncatingIfNeeded: random.next()), at: place)
        case 5:
            // The rest of another example.
            let other = examples[below(examples.count)]
            bytes.replaceSubrange(place..., with: other[below(other.count + 1)...])
        case 6, 7: replaceNumber(&bytes, from: place)
        case 8: bytes.replaceSubrange(place..<end, with: pieces[below(pieces.count)])
        default: bytes.insert(contentsOf: pieces[below(pieces.count)], at: place)
        }
    }

    /// The first number from there on, otherwise what is there.
    private mutating func replaceNumber(_ bytes: inout [UInt8], from place: Int) {
        func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
        let start = bytes[place...].firstIndex(where: isDigit) ?? place
        let end = bytes[start...].firstIndex { !isDigit($0) } ?? bytes.count
        bytes.replaceSubrange(start..<end, with: pieces[below(pieces.count)])
    }
}
