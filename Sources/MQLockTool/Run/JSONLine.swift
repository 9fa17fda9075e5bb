import Foundation
import MQLock

/// One JSON object on one line, with the time among its members.
struct JSONLine {
    private var members: [String]

    /// - Parameter now: milliseconds since 1970.
    init(_ event: String, now: Int64 = WallClock.now) {
        members = []
        add("event", event)
        members.append(Self.time(now))
    }

    mutating func add(_ key: String, _ value: String?) {
        if let value { members.append("\(Self.quoted(key)):\(Self.quoted(value))") }
    }

    mutating func add(_ key: String, _ value: (some BinaryInteger)?) {
        if let value { members.append("\(Self.quoted(key)):\(value)") }
    }

    mutating func add(_ key: String, _ value: Bool) { members.append("\(Self.quoted(key)):\(value)") }

    /// In seconds, with milliseconds.
    mutating func add(_ key: String, _ value: Duration?) {
        guard let value else { return }
        let milliseconds = max(0, value.wholeNanoseconds / 1_000_000)
        let fraction = String(1000 + milliseconds % 1000).dropFirst()
        members.append("\(Self.quoted(key)):\(milliseconds / 1000).\(fraction)")
    }

    /// What has been done for a period, and by whom.
    mutating func add(_ mark: DoneMark) {
        add("period", mark.period)
        add("outcome", mark.outcome.rawValue)
        add("by", mark.owner)
        add("began", WallClock.stamp(mark.began))
        add("ended", WallClock.stamp(mark.ended))
        add("fence", mark.fencingToken.description)
        add("exitStatus", mark.exitStatus)
    }

    var text: String { "{\(members.joined(separator: ","))}\n" }

    /// A value that is an object, on one line, equally safe to show, and with the time.
    static func text(of value: some Encodable, now: Int64 = WallClock.now) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // Finite numbers and strings only: the encoder cannot fail.
        return stamped((try? encoder.encode(value)).map { String(decoding: $0, as: UTF8.self) } ?? "{}", now: now)
    }

    /// A JSON encoder's object on a line, with the time and escapes added.
    static func stamped(_ line: String, now: Int64 = WallClock.now) -> String {
        let object = line.hasSuffix("\n") ? line.dropLast() : line[...]
        let rest = object.dropFirst()
        // Only strings contain what has to be escaped, and an escape there means the same.
        return escaped("{\(time(now))\(rest.hasPrefix("}") ? "" : ",")\(rest)") + "\n"
    }

    private static func time(_ now: Int64) -> String { "\"time\":\"\(WallClock.stamp(now))\"" }

    private static func quoted(_ text: String) -> String {
        // By scalars: a quotation mark and a combining mark are one character, which would not be escaped.
        var result = String.UnicodeScalarView("\"".unicodeScalars)
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { result.append("\\") }
            result.append(scalar)
        }
        result.append("\"")
        return escaped(String(result))
    }

    /// Escapes all that could forge a line for line-by-line readers, or reorder it on a terminal.
    private static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: \.needsEscaping) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar.needsEscaping {
                for unit in UTF16.encode(scalar).map(Array.init) ?? [] {
                    result += "\\u" + UInt32(unit).hexadecimal(4)
                }
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}
