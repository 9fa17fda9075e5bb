/// The contents of a ``FileFenceGate``'s file: the largest token of each name.
///
/// Text, so an operator can read it. Each table has one encoding, so any file that is not exactly what this package
/// writes is known to be damaged:
///
///     mqlock.v1 fence
///     <token in decimal> <name, percent-encoded>      sorted by the name's bytes
///     sum <64-bit FNV-1a of all bytes before this line, 16 hexadecimal digits>
struct FenceTable: Equatable {
    private(set) var marks: [LockName: FencingToken] = [:]

    static let maximumNames = 1024
    /// No table is longer than this, so a longer file is not read to its end.
    static let maximumBytes = 1024 * (3 * LockName.maximumLength + 24)
    private static let header = "mqlock.v1 fence"
    /// What every table begins with.
    static let beginning = Array("\(header)\n".utf8)

    init() {}

    /// Reads a table; `nil` for anything that ``encoded`` would not have written.
    init?(_ bytes: [UInt8]) {
        let lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        guard lines.count >= 3 else { return nil }
        for line in lines[1..<(lines.count - 2)] {
            let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard
                fields.count == 2, let token = FencingToken(String(decoding: fields[0], as: UTF8.self)),
                let text = PercentCoding.word.decode(String(decoding: fields[1], as: UTF8.self), .strict),
                let name = try? LockName(text)
            else { return nil }
            marks[name] = token
        }
        // Header, order, sum and every spelling in one comparison.
        guard encoded == bytes else { return nil }
    }

    /// Remembers a token; false when there are too many names.
    mutating func set(_ token: FencingToken, for name: LockName) -> Bool {
        guard marks[name] != nil || marks.count < Self.maximumNames else { return false }
        marks[name] = token
        return true
    }

    var encoded: [UInt8] {
        var text = Self.header + "\n"
        for (name, token) in marks.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            text += "\(token) \(PercentCoding.word.encode(name.string))\n"
        }
        return Array((text + "sum \(fnv1a(text.utf8).hexadecimal(16))\n").utf8)
    }
}

/// 64-bit FNV-1a: the same in every process, version and language. It protects against accidents, not against forgers.
func fnv1a(_ bytes: some Sequence<UInt8>) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}
