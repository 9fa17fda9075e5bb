import MQLock
import MQLockKafka
import Testing

/// The stamp itself is tested with MQLock; here, that it fits the headers of records.
@Suite struct StampedRecordTests {
    private func stamp(_ token: UInt64, _ name: LockName = "kühl") throws -> FenceStamp {
        FenceStamp(name: name, token: try #require(FencingToken(rawValue: token)), owner: "host/1")
    }

    @Test func aStampIsReadAsItWasWritten() throws {
        for token in [0, 7, FencingToken.maximum] {
            let stamp = try stamp(token)
            let others = [RecordHeader("trace", "x"), RecordHeader("empty", nil)]
            #expect(FenceStamp.read(others + stamp.recordHeaders.reversed()) == .stamp(stamp))
        }
        #expect(
            try stamp(42).recordHeaders == [
                RecordHeader("mqlock-name", "kühl"), RecordHeader("mqlock-fence", "42"),
                RecordHeader("mqlock-owner", "host/1"),
            ])
    }

    @Test func whatIsNoStampIsNone() throws {
        #expect(FenceStamp.read([RecordHeader("trace", "x")]) == .absent)
        let good = try stamp(42).recordHeaders
        for index in good.indices {
            for bad in [good.filter { $0 != good[index] }, good + [good[index]]] {
                #expect(FenceStamp.read(bad).stamp == nil, "\(bad)")
            }
            for value in [nil, [0xff]] as [[UInt8]?] {
                var headers = good
                headers[index].value = value
                #expect(FenceStamp.read(headers).stamp == nil, "\(good[index].name)")
            }
        }
    }

    @Test func aGateLetsNoFormerHolderThrough() throws {
        let gate = StampedMessageGate(MemoryFenceGate())
        var seen: [UInt64] = []
        func apply(_ token: UInt64, _ name: LockName) throws -> Bool {
            let verdict = try gate.withAdmission(try stamp(token, name).recordHeaders) { _ in seen.append(token) }
            if case .stale(let stamp, let refusal) = verdict {
                #expect(stamp.token.rawValue == token && refusal.highest.rawValue == 9)
                return false
            }
            return true
        }
        #expect(try apply(5, "one"))
        #expect(try apply(5, "one"))
        #expect(try apply(9, "one"))
        // Only numbers of one name compare.
        #expect(try apply(3, "two"))
        #expect(try !apply(8, "one"))
        #expect(seen == [5, 5, 9, 3])
    }
}
