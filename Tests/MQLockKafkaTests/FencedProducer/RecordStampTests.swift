import MQLock
import MQLockKafka
import Testing

@Suite struct RecordStampTests {
    private func stamp(_ token: UInt64, _ name: LockName = "kühl") throws -> RecordStamp {
        RecordStamp(name: name, token: try #require(FencingToken(rawValue: token)), owner: "host/1")
    }

    @Test func aStampIsReadAsItWasWritten() throws {
        for token in [0, 7, FencingToken.maximum] {
            let stamp = try stamp(token)
            let others = [RecordHeader("trace", "x"), RecordHeader("empty", nil)]
            #expect(RecordStamp(others + stamp.headers.reversed()) == stamp)
        }
        #expect(
            try stamp(42).headers == [
                RecordHeader("mqlock-name", "kühl"), RecordHeader("mqlock-fence", "42"),
                RecordHeader("mqlock-owner", "host/1"),
            ])
    }

    @Test func whatIsNoStampIsNone() throws {
        let good = try stamp(42).headers
        #expect(RecordStamp([]) == nil)
        for index in good.indices {
            var headers = good
            headers.remove(at: index)
            #expect(RecordStamp(headers) == nil, "without \(good[index].name)")
            // Twice is ambiguous, also when both say the same.
            #expect(RecordStamp(good + [good[index]]) == nil, "twice \(good[index].name)")
            headers = good
            headers[index].value = nil
            #expect(RecordStamp(headers) == nil, "no value of \(good[index].name)")
            headers[index].value = [0xff]
            #expect(RecordStamp(headers) == nil, "no text in \(good[index].name)")
        }
        for token in ["", "-1", " 1", "0x1", "9223372036854775808", "1e3"] {
            #expect(RecordStamp([good[0], RecordHeader("mqlock-fence", token), good[2]]) == nil, "\(token)")
        }
        #expect(RecordStamp([RecordHeader("mqlock-name", ""), good[1], good[2]]) == nil)
        let long = String(repeating: "é", count: 150)
        #expect(RecordStamp([good[0], good[1], RecordHeader("mqlock-owner", long)]) == nil)
        let cut = RecordStamp(name: "n", token: try stamp(1).token, owner: long)
        #expect(cut.owner.utf8.count == 200 && RecordStamp(cut.headers) == cut)
    }

    @Test func aGateLetsNoFormerHolderThrough() throws {
        let gate = RecordGate(MemoryFenceGate())
        var seen: [UInt64] = []
        func apply(_ token: UInt64, _ name: LockName) throws {
            try gate.apply(try stamp(token, name).headers) { seen.append(token) }
        }
        try apply(5, "one")
        try apply(5, "one")
        try apply(9, "one")
        // Only numbers of one name compare.
        try apply(3, "two")
        let stale = #expect(throws: LockError.self) { try apply(8, "one") }
        #expect(stale?.code == .staleToken && stale?.refusal?.highest.rawValue == 9)
        let bare = #expect(throws: LockError.self) { try gate.apply([]) { seen.append(0) } }
        #expect(bare?.code == .incompatible)
        #expect(seen == [5, 5, 9, 3])
    }
}
