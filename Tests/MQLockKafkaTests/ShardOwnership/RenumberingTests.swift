import MQLock
import Synchronization
import Testing

@testable import MQLockKafka

/// A claim is good for so many grants; then grants go on under another claim, without a break of the ownership.
@Suite struct RenumberingTests {
    /// Whatever a claim is good for, another one is asked for once and in time, and numbers only grow.
    @Test(arguments: [UInt64(2), 3, 4, 10, 101]) func grantsGoOnUnderAnotherClaim(_ limit: UInt64) throws {
        let asked = Atomic(0)
        let proof = ProofOfLife(until: .now.advanced(by: .seconds(600)))
        let made = ShardHold(
            0, .init(number: 1 << 40, offset: 0), owner: "test", proof: proof, grants: limit,
            usedUp: { _ in asked.add(1, ordering: .relaxed) })
        let hold = try #require(made)
        var last = hold.lease.token
        for round in 1...3 {
            var granted: UInt64 = 0
            while let record = hold.grant("name", leads: round == 1 && granted == 0) {
                #expect(record.token > last || round == 1 && granted == 0)
                last = record.token
                granted += 1
                hold.release(record)
            }
            // The first leader has the number of the claim itself.
            #expect(granted == (round == 1 ? limit : limit - 1))
            #expect(asked.load(ordering: .relaxed) == round)
            #expect(hold.isUsedUp && hold.isValid)
            #expect(hold.grant("name") == nil && asked.load(ordering: .relaxed) == round)
            hold.renumber(.init(number: (1 << 40) + UInt64(round) * ClaimNumber.grants, offset: 0))
            #expect(!hold.isUsedUp)
        }
        // What is being drained has no use for another one.
        hold.drain(until: .now.advanced(by: .seconds(60))) {}
        #expect(hold.grant("name") == nil && !hold.isUsedUp)
    }

    /// Without a number left, nobody is sent elsewhere: the shard is ours.
    @Test func withoutNumbersTheErrorSaysSo() async throws {
        let ownership = try ShardOwnership(.init(topic: "no-broker", partitions: 1))
        let proof = ProofOfLife(until: .now.advanced(by: .seconds(600)))
        let hold = try #require(
            ShardHold(0, .init(number: 1 << 40, offset: 0), owner: "test", proof: proof, grants: 2))
        ownership.board.set(hold)
        let locks = ShardLocks(ownership)
        let held = try await locks.acquire("name")
        try await held.release()
        for attempt in [
            { _ = try await ownership.withShard(of: "name") { _ in } },
            { _ = try await ownership.withShard(0) { _ in } },
            { _ = try await locks.tryAcquire("name") },
        ] as [() async throws -> Void] {
            let error = await #expect(throws: LockError.self) { try await attempt() }
            #expect(error?.code == .limitExceeded)
        }
        // Who waits gets the next number.
        async let token = locks.withLock("name", within: .seconds(60)) { $0.fencingToken.rawValue }
        hold.renumber(.init(number: 1 << 41, offset: 0))
        ownership.board.renumbered()
        #expect(try await token == 1 << 41 + 1)
    }
}

extension LiveKafkaTests {
    @Suite struct RenumberingOnABrokerTests {
        @Test(arguments: [ClaimMethod.transactional, .acknowledged])
        func grantsNeverEnd(_ method: ClaimMethod) async throws {
            let broker = try LiveKafkaTests.broker()
            let topic = try broker.makeTopic(partitions: 2)
            let member = try Member(broker, topic, partitions: 2, grantsPerClaim: 8) { $0.claims = method }
            try await eventually("two shards") { member.owns(2) }
            let whole = try (0..<2).map { try #require(member.ownership.lease(for: $0)) }
            let locks = ShardLocks(member.ownership)
            // A lease of the first claim, kept over all others.
            let kept = try await locks.acquire("kept", within: .seconds(60))
            var last: [Int: FencingToken] = [:]
            for number in 0..<100 {
                let name = try LockName("customer-\(number % 10)")
                let token = try await locks.withLock(name, within: .seconds(60)) { $0.fencingToken }
                let shard = member.ownership.shard(of: name)
                if let before = last[shard] { #expect(token > before) }
                last[shard] = token
            }
            #expect(last.count == 2)
            // Above those of the first claims, as each claim's are above the last one's.
            for (shard, token) in last {
                #expect(token.rawValue - whole[shard].fencingToken.rawValue >= ClaimNumber.grants)
            }
            // Without a break: what was granted before stands.
            #expect(whole.allSatisfy(\.isValid) && kept.lease.isValid)
            try await kept.release()
            await member.leave()
            // The next owner finds the claims.
            let next = try Member(broker, topic, partitions: 2) { $0.claims = method }
            try await eventually("two shards again") { next.owns(2) }
            for (shard, token) in last {
                #expect(try #require(next.ownership.lease(for: shard)).fencingToken > token)
            }
            await next.leave()
        }
    }
}
