import MQLock
import Testing

@Suite struct LockNameTests {
    @Test func namesAreComparedByteByByte() {
        let composed: LockName = "caf\u{e9}"
        let decomposed: LockName = "cafe\u{301}"
        #expect(composed.string == decomposed.string, "Swift's strings are equal, or this tests nothing")
        #expect(composed != decomposed)
        #expect(Set([composed, decomposed]).count == 2)
    }

    @Test(arguments: [(1, true), (200, true), (201, false), (0, false), (100_000, false)])
    func oneTo200Bytes(_ length: Int, _ fits: Bool) {
        let code = Result { () throws(LockError) in try LockName(String(repeating: "x", count: length)) }
        switch code {
        case .success(let name): #expect(fits && name.utf8.count == length)
        case .failure(let error): #expect(!fits && error.code == .invalidName)
        }
    }

    @Test func theLimitCountsBytesAndNotCharacters() {
        #expect(throws: LockError.self) { try LockName(String(repeating: "é", count: 101)) }
        #expect(throws: Never.self) { try LockName(String(repeating: "é", count: 100)) }
    }

    @Test(arguments: [
        ("plain", "plain"), ("a\nb", "a\\u{a}b"), ("\u{1b}[31m", "\\u{1b}[31m"), ("\u{202e}x", "\\u{202e}x"),
        ("a\u{2028}b", "a\\u{2028}b"), ("\u{0}", "\\u{0}"), ("grüße 🔒", "grüße 🔒"),
    ])
    func whatCouldForgeOutputIsEscaped(_ name: String, _ shown: String) throws {
        #expect(try LockName(name).description == shown)
        #expect(try LockName(name).string == name)
    }
}
