import MQLock

/// One JSON object on one line.
struct JSONLine {
    private var members: [String] = []

    mutating func add(_ key: String, _ value: String?) {
        if let value { members.append("\(Self.quoted(key)):\(Self.quoted(value))") }
    }

    mutating func add(_ key: String, _ value: (some BinaryInteger)?) {
        if let value { members.append("\(Self.quoted(key)):\(value)") }
    }

    /// Seconds, to the millisecond.
    mutating func add(_ key: String, _ value: Duration?) {
        guard let value else { return }
        let milliseconds = max(0, value.wholeNanoseconds / 1_000_000)
        let fraction = String(1000 + milliseconds % 1000).dropFirst()
        members.append("\(Self.quoted(key)):\(milliseconds / 1000).\(fraction)")
    }

    var text: String { "{\(members.joined(separator: ","))}\n" }

    private static func quoted(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            // U+2028 and U+2029 are legal JSON but line ends to some who read line by line.
            case "\u{0}"..."\u{1f}", "\u{7f}", "\u{2028}", "\u{2029}":
                result += "\\u" + scalar.value.hexadecimal(4)
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result + "\""
    }
}
