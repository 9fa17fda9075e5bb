import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

/// What whoever may write to a topic, or a broker, gives this module to read. Nothing traps; what is read and written again is
/// read as the same; what was valid stays so.
@Suite("Whatever is in a topic") struct FuzzTests {
    @Test func claims() async throws {
        let claim = ClaimRecord(partitions: 12, owner: "web-1/4711", member: "m-1", number: 42 << 24)
        let example = String(decoding: try claim.value(), as: UTF8.self)
        let fault = await Fuzzing.firstFault(
            in: "claims", examples: [example],
            words: [
                "\"number\":", "\"partitions\":", "\"version\":\"mqlock.v1\"", "null", "true", "\"\"", "1.0", "1e3",
            ]
        ) { bytes in
            guard let claim = ClaimRecord(key: ClaimRecord.key(7), value: bytes, shard: 7) else { return .refused }
            // A number that was made up may not be one to go on from, which is an error.
            for now in [WallClock.now, .max, .min, 0] { _ = try? ClaimNumber.next(above: claim.number, at: now) }
            let proof = ProofOfLife(until: ContinuousClock.now.advanced(by: .seconds(10)), clock: SystemLockClock())
            let made = OwnershipMachine.Claim(number: claim.number, offset: 0)
            if let hold = ShardHold(7, made, owner: claim.owner, proof: proof) { _ = hold.grant("n") }
            guard let value = try? claim.value() else { return bytes.count > 2000 ? .refused : .wrong("too long") }
            return ClaimRecord(key: ClaimRecord.key(7), value: value, shard: 7) == claim
                ? .read : .wrong("another claim")
        }
        #expect(fault == nil)
    }

    @Test func keysOfClaims() async throws {
        let value = try ClaimRecord(partitions: 1, owner: "o", member: "m", number: 1).value()
        let fault = await Fuzzing.firstFault(in: "keys of claims", examples: ["mqlock.v1/shard/7"]) { bytes in
            for count in [1, 12, 100_000, Int(Int32.max)] {
                guard (0..<Int32(count)).contains(Murmur2.partition(of: bytes, count: count)) else {
                    return .wrong("no partition of \(count)")
                }
            }
            let isOurs = ClaimRecord(key: bytes, value: value, shard: 7) != nil
            guard isOurs else { return .refused }
            return bytes == Array("mqlock.v1/shard/7".utf8) ? .read : .wrong("another shard's")
        }
        #expect(fault == nil)
    }

    @Test func headersOfRecords() async {
        let examples = [
            "mqlock-name=n\u{1}mqlock-fence=42\u{1}mqlock-owner=o",
            "mqlock-owner=\u{1}mqlock-fence=0\u{1}mqlock-name=n\u{1}x",
        ]
        let words = ["\u{1}", "mqlock-name", "mqlock-fence=", "\u{1}mqlock-owner"]
        let fault = await Fuzzing.firstFault(in: "headers of records", examples: examples, words: words) { bytes in
            let headers = bytes.split(separator: 1).map { line in
                let parts = line.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
                return RecordHeader(String(decoding: parts[0], as: UTF8.self), parts.count == 2 ? Array(parts[1]) : nil)
            }
            guard case .stamp(let stamp) = FenceStamp.read(headers) else { return .refused }
            return FenceStamp.read(stamp.recordHeaders) == .stamp(stamp) ? .read : .wrong("another stamp")
        }
        #expect(fault == nil)
    }

    /// As the library writes it.
    @Test func memberships() async {
        let example = Array("CGMDv2:".utf8) + [42, 0, 0, 0] + Array("group\0member-1\0\0".utf8)
        let fault = await Fuzzing.firstFault(in: "memberships", examples: [example], words: ["CGMDv2:"]) { bytes in
            guard let membership = Membership(serialized: bytes) else { return .refused }
            return membership.isComplete == (membership.generation >= 0 && !membership.member.isEmpty)
                ? .read : .wrong("\(membership)")
        }
        #expect(fault == nil)
    }
}
