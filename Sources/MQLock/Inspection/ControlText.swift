/// The text of every control message of `mqlock.v1`: a first line of version, word and number of the question, then a
/// line for each field, its key and its percent-encoded value.
///
/// ```
/// mqlock.v1 here 9f86d081884c7d659a2feaa0c55ad015
/// role holder
/// owner web-1/4711
/// ```
///
/// Reading is strict and bounded, because anyone who may publish can send anything: no field twice, no other
/// whitespace, no byte that is not UTF-8. A field with an unknown key is skipped, so a later version can say more.
package struct ControlText: Hashable, Sendable {
    package let word: String
    /// 32 lower-case hexadecimal digits, which an answer repeats.
    package let question: String
    package var fields: [String: String]

    package static let version = "mqlock.v1"
    package static let maximumLength = 8192
    static let maximumFields = 32
    /// The limit of an encoded value.
    static let maximumValue = 1024

    package init(_ word: String, _ question: String, _ fields: [String: String] = [:]) {
        self.word = word
        self.question = question
        self.fields = fields
    }

    /// Fields in the order of their keys, so one text has one form.
    package var payload: [UInt8] {
        var text = "\(Self.version) \(word) \(question)\n"
        for (key, value) in fields.sorted(by: { $0.key < $1.key }) {
            text += "\(key) \(Self.bounded(value).percentEncoded)\n"
        }
        return Array(text.utf8)
    }

    /// Reads a payload; nil for anything that is not exactly a text of this version.
    package init?(payload: [UInt8]) {
        guard payload.count <= Self.maximumLength, payload.last == UInt8(ascii: "\n"),
            let text = String(validating: payload, as: UTF8.self)
        else { return nil }
        // Split by scalar: Swift sees CR and LF together as one character that is neither.
        let lines = text.unicodeScalars.dropLast().split(separator: "\n", omittingEmptySubsequences: false)
            .map { Substring($0) }
        guard lines.count <= Self.maximumFields + 1, let first = lines.first else { return nil }
        let head = first.unicodeScalars.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
        guard head.count == 3, head[0] == Self.version, Self.isKey(head[1]), Self.isNumber(head[2]) else { return nil }
        word = head[1]
        question = head[2]
        fields = [:]
        for line in lines.dropFirst() {
            guard let space = line.unicodeScalars.firstIndex(of: " ") else { return nil }
            let key = String(line.unicodeScalars[..<space])
            let value = Substring(line.unicodeScalars[line.unicodeScalars.index(after: space)...])
            guard Self.isKey(key), fields[key] == nil, value.utf8.count <= Self.maximumValue,
                let decoded = String(percentEncoded: value)
            else { return nil }
            fields[key] = decoded
        }
    }

    /// The longest beginning of a text whose encoding fits.
    private static func bounded(_ value: String) -> String {
        guard value.utf8.count > maximumValue / 3, !fits(value) else { return value }
        var result = String.UnicodeScalarView()
        var length = 0
        for scalar in value.unicodeScalars {
            length += String(scalar).percentEncoded.utf8.count
            guard length <= maximumValue else { break }
            result.append(scalar)
        }
        return String(result)
    }

    /// Whether a text can be a field's value as a whole.
    static func fits(_ value: String) -> Bool { value.percentEncoded.utf8.count <= maximumValue }

    private static func isKey(_ text: String) -> Bool {
        (1...16).contains(text.utf8.count) && text.utf8.allSatisfy { (0x61...0x7A).contains($0) }
    }

    package static func isNumber(_ text: some StringProtocol) -> Bool {
        RandomID(text) != nil
    }
}

extension ControlText {
    /// A decimal number without sign, leading zero or space; nil for any other text, or a number above the limit.
    func number(_ key: String, upTo limit: Int64 = .max) -> Int64? {
        guard let text = fields[key], let number = Int64(text), number >= 0, number <= limit, String(number) == text
        else { return nil }
        return number
    }
}
