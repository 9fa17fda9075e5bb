import MQLock
import Testing

@Suite("What a holder says about its hold")
struct HoldInfoTests {
    private func record(_ name: LockName = "job") -> LeaseRecord {
        LeaseRecord(
            name: name, token: FencingToken(rawValue: 7)!, owner: "me",
            proof: ProofOfLife(until: .now.advanced(by: .seconds(60))))
    }

    /// The longest texts, and the shortest that are too long: by bytes as they are written.
    static let limits: [(String, Bool)] = [
        ("", true), (String(repeating: "x", count: 1024), true), (String(repeating: "x", count: 1025), false),
        (String(repeating: "\n", count: 341), true), (String(repeating: "\n", count: 342), false),
        (String(repeating: "%", count: 341) + "x", true), (String(repeating: "é", count: 512), true),
        (String(repeating: "é", count: 513), false), (String(repeating: "👩‍👩‍👧", count: 64), false),
    ]

    @Test("its longest, and what is too long", arguments: limits)
    func longest(text: String, fits: Bool) throws {
        let lease = Lease(record())
        #expect(lease.info == nil)
        try lease.setInfo("before")
        if fits {
            try lease.setInfo(text)
            #expect(lease.info == text)
            // Whoever asks gets all of it.
            let contender = ControlMessageTests.contender { $0.info = lease.info }
            let payload = ControlAnswer.here(contender).text(ControlMessageTests.question).payload
            #expect(ControlText(payload: payload).flatMap { ControlAnswer($0) } == .here(contender))
        } else {
            #expect { try lease.setInfo(text) } throws: { ($0 as? LockError)?.code == .invalidConfiguration }
            #expect(lease.info == "before")
        }
        try lease.setInfo(nil)
        #expect(lease.info == nil)
    }

    @Test("copies of a lease say the same")
    func copies() throws {
        let lease = Lease(record())
        let copy = lease  // a value, of one grant
        try lease.setInfo("page 4")
        #expect(copy.info == "page 4")
    }

    @Test("a text that is cut can still be read", arguments: ["x", "\n", "é", "\u{85}", "👩‍👩‍👧", "%"])
    func cut(scalar: String) throws {
        for count in [300, 341, 342, 343, 511, 513, 1023, 1024, 1025, 4000] {
            let text = ControlText("word", ControlMessageTests.question, ["a": String(repeating: scalar, count: count)])
            let read = try #require(ControlText(payload: text.payload)?.fields["a"])
            let whole = String(repeating: scalar, count: count)
            #expect(whole.unicodeScalars.starts(with: read.unicodeScalars))
            // As much as there is room for.
            let next = whole.unicodeScalars.dropFirst(read.unicodeScalars.count).first
            let room = 1024 - read.percentEncoded.utf8.count
            #expect(next.map { String($0).percentEncoded.utf8.count > room } ?? true)
        }
    }
}
