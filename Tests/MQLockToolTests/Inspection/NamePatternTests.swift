import MQLock
import Testing

@testable import MQLockTool

@Suite("Names with wildcards")
struct NamePatternTests {
    /// The meaning, in the plainest way.
    private func matches(_ pattern: Substring.UnicodeScalarView, _ text: Substring.UnicodeScalarView) -> Bool {
        guard let first = pattern.first else { return text.isEmpty }
        let rest = pattern.dropFirst()
        if first == "*" {
            return text.indices.contains { matches(rest, text[$0...]) } || matches(rest, text[text.endIndex...])
        }
        guard let scalar = text.first, first == "?" || first == scalar else { return false }
        return matches(rest, text.dropFirst())
    }

    private func words(_ alphabet: [String], upTo length: Int) -> [String] {
        var all = [""]
        var last = [""]
        for _ in 0..<length {
            last = last.flatMap { word in alphabet.map { word + $0 } }
            all += last
        }
        return all
    }

    @Test("every short pattern on every short name")
    func meaning() throws {
        let names = words(["a", "b", "é"], upTo: 4).dropFirst()
        for pattern in words(["a", "b", "*", "?"], upTo: 4) {
            for name in names {
                let expected = matches(Substring(pattern).unicodeScalars, Substring(name).unicodeScalars)
                #expect(try NamePattern(pattern).matches(LockName(name)) == expected, "\(pattern) \(name)")
            }
        }
    }

    @Test("no pattern takes long", .timeLimit(.minutes(1)))
    func hostile() throws {
        let name = try LockName(String(repeating: "a", count: 200))
        #expect(!NamePattern(String(repeating: "*a", count: 5000) + "b").matches(name))
    }

    @Test(
        "a name with wildcards that nobody uses is a mistake, no lock that is free",
        arguments: ["night*", "n?ght", "*"])
    func unused(name: String) throws {
        func view(_ name: String, _ queue: LockView.QueueView) throws -> LockView {
            LockView(name: try LockName(name), contenders: [], queue: queue)
        }
        #expect(throws: LockError.self) { try NamePattern.refuseUnused(view(name, .missing)) }
        #expect(throws: LockError.self) { try NamePattern.refuseUnused(view(name, .log)) }
        // It is a name like any other, if somebody has taken it.
        try NamePattern.refuseUnused(view(name, .counted(messages: 1, consumers: 0)))
        try NamePattern.refuseUnused(view("night", .missing))
    }
}
