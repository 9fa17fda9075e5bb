import Foundation
import MQLock
import MQLockTesting
import Testing

@Suite("Fence stamps") struct FenceStampTests {
    private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

    private func headers(
        name: String = "n", fence: String = "7", owner: String = "o"
    ) -> [(String, [UInt8]?)] {
        [("mqlock-name", bytes(name)), ("mqlock-fence", bytes(fence)), ("mqlock-owner", bytes(owner))]
    }

    private func isMalformed(_ headers: [(String, [UInt8]?)]) -> Bool {
        if case .malformed = FenceStamp.read(headers) { true } else { false }
    }

    @Test func headersAreTheProtocols() throws {
        let record = LeaseRecord("orders/7", clock: ManualClock(), token: 1_234_567_890_123_456_789)
        let headers = FenceStamp(Lease(record)).headers
        #expect(headers.map(\.0) == ["mqlock-name", "mqlock-fence", "mqlock-owner"])
        #expect(headers.map(\.1) == ["orders/7", "1234567890123456789", "test"])
    }

    /// Whatever a holder can be called and be granted comes back, over both kinds of headers.
    @Test func roundTrip() throws {
        let names: [LockName] = ["n", "é", "e\u{301}", "\u{0}\r\n\u{202e}", "日本/語 %"]
        for name in names {
            for number in [0, 1, FencingToken.maximum] {
                for owner in ["", "host/1", "\n\u{0}\u{1F468}\u{200D}\u{1F469}"] {
                    let stamp = FenceStamp(name: name, token: token(number), owner: owner)
                    let kafka = stamp.headers.map { ($0.0, Array($0.1.utf8) as [UInt8]?) }
                    #expect(FenceStamp.read(kafka.reversed() + [("mqlock-later", nil), ("x", [255])]) == .stamp(stamp))
                    let amqp = Dictionary(uniqueKeysWithValues: stamp.headers)
                    #expect(FenceStamp.read(amqp) == .stamp(stamp))
                }
            }
        }
    }

    @Test func noneOfTheThreeIsNoStamp() {
        let none: [(String, [UInt8]?)] = [("x", nil), ("MQLOCK-NAME", [65]), ("mqlock-name ", [65]), ("", [])]
        #expect(FenceStamp.read(none) == .absent)
        #expect(FenceStamp.read([String: String]()) == .absent)
    }

    @Test func anythingElseIsMalformed() {
        #expect(!isMalformed(headers()))
        for left in 0..<3 {
            var some = headers()
            some.remove(at: left)
            #expect(isMalformed(some))
            #expect(isMalformed(some + [(headers()[left].0, nil)]))
            #expect(isMalformed(headers() + [headers()[left]]), "twice")
            #expect(isMalformed(some + [(headers()[left].0, [0xC3])]), "no UTF-8")
        }
        for fence in [
            "", "-1", "+1", " 1", "1 ", "01", "0x1", "1.0", "9223372036854775808", "٣",
            String(repeating: "1", count: 99),
        ] {
            #expect(isMalformed(headers(fence: fence)))
        }
        #expect(isMalformed(headers(name: "")))
        #expect(!isMalformed(headers(name: String(repeating: "n", count: 200))))
        #expect(isMalformed(headers(name: String(repeating: "n", count: 201))))
        #expect(!isMalformed(headers(owner: String(repeating: "o", count: 200))))
        #expect(isMalformed(headers(owner: String(repeating: "o", count: 201))))
    }

    @Test func longOwnersAreCutBetweenCharacters() {
        let family = "\u{1F468}\u{200D}\u{1F469}"
        let stamp = FenceStamp(name: "n", token: token(1), owner: String(repeating: "o", count: 195) + family)
        #expect(stamp.owner == String(repeating: "o", count: 195))
        #expect(FenceStamp.read(Dictionary(uniqueKeysWithValues: stamp.headers)) == .stamp(stamp))
    }

    @Test func whatIsShownIsEscaped() {
        let stamp = FenceStamp(name: "a\nb", token: token(1), owner: "\u{1b}[31m\u{202e}")
        #expect(!stamp.description.unicodeScalars.contains { $0.value < 32 || $0 == "\u{202e}" })
    }

    /// Random headers: read strictly or not at all, and what is read is written the same.
    @Test func generatedHeaders() {
        let seed = UInt64.random(in: 0 ... .max)
        var generator = SeededGenerator(seed)
        let keys = ["mqlock-name", "mqlock-fence", "mqlock-owner", "other"]
        let values = ["", "0", "7", "007", "n", "é", "9223372036854775807", "9223372036854775808", "\n"]
        for _ in 0..<5_000 {
            let some = (0..<Int.random(in: 0...5, using: &generator)).map { _ -> (String, [UInt8]?) in
                let value = Bool.random(using: &generator) ? bytes(values.randomElement(using: &generator)!) : [0xFF]
                return (
                    keys.randomElement(using: &generator)!, Int.random(in: 0..<20, using: &generator) == 0 ? nil : value
                )
            }
            let ours = some.filter { $0.0 != "other" }
            switch FenceStamp.read(some) {
            case .absent: #expect(ours.isEmpty, "seed \(seed)")
            case .malformed: #expect(!ours.isEmpty, "seed \(seed)")
            case .stamp(let stamp):
                let written = Dictionary(uniqueKeysWithValues: stamp.headers.map { ($0.0, bytes($0.1)) })
                #expect(ours.count == 3 && ours.allSatisfy { written[$0.0] == $0.1 }, "seed \(seed)")
            }
        }
    }
}
