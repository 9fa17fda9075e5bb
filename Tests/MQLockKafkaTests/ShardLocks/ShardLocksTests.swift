import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

/// A provider and the membership of the group that it rests on.
private struct MemberLocks: LockProvider {
    let member: Member
    let locks: ShardLocks

    var capabilities: LockCapabilities { locks.capabilities }

    func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await locks.acquire(name, within: limit)
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? { try await locks.tryAcquire(name) }
}

extension LiveKafkaTests {
    @Suite struct ShardLocksTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        @Test func conforms() async throws {
            // It is broken, so where that is possible not the one that other tests use.
            let own = LiveKafka.isMock ? try OwnKafka() : nil
            let broker = own?.broker ?? broker
            var subject = ConformanceSubject<MemberLocks>(handOverLimit: .seconds(10)) { options in
                let member = try Member(broker, broker.makeTopic(partitions: 2), partitions: 2)
                let locks = ShardLocks(
                    member.ownership, observer: options.observer, maximumWaiters: options.maximumWaiters ?? 100_000)
                try await eventually("two shards") { member.owns(2) }
                return MemberLocks(member: member, locks: locks)
            }
            subject.close = { provider in
                if broker.control != nil { try? broker.fault("broker", "all", "up") }
                await provider.member.leave()
            }
            if broker.control != nil {
                subject.faults.endSession = { _ in try broker.fault("errors", "OffsetCommit", "UNKNOWN_MEMBER_ID", "1")
                }
                subject.faults.silence = { _ in try broker.fault("broker", "all", "down") }
            }
            let report = await LockConformance(subject).run()
            withExtendedLifetime(own) {}
            print(report)
            #expect(report.hasPassed, "\(report)")
        }

        @Test func aNameOfAnotherMembersShardIsRefused() async throws {
            let topic = try broker.makeTopic(partitions: 2)
            let one = try Member(broker, topic, partitions: 2) { $0.owner = "one" }
            let two = try Member(broker, topic, partitions: 2) { $0.owner = "two" }
            try await eventually("one shard each") { one.owns(1) && two.owns(1) }
            let names = try (0..<20).map { try LockName("customer-\($0)") }
            let theirs = try #require(names.first { two.ownership.owns($0) && !one.ownership.owns($0) })
            let locks = (ShardLocks(one.ownership), ShardLocks(two.ownership))
            let error = await #expect(throws: LockError.self) { try await locks.0.withLock(theirs) { _ in } }
            #expect(error?.code == .notOwner)
            // It says who has it; the claim may not have been read in time for the error itself.
            #expect(await one.ownership.lastKnownOwner(of: theirs) == "two")
            let told = await #expect(throws: LockError.self) { try await one.ownership.withShard(of: theirs) { _ in } }
            #expect(told?.code == .notOwner && told?.message.contains("two") == true)
            #expect(await two.ownership.lastKnownOwner(of: theirs) == "two")
            let token = try await locks.1.withLock(theirs) { $0.fencingToken }
            // Who takes the shard over gives larger tokens, to the same waiters.
            async let handedOver = locks.0.retrying(theirs)
            await two.leave()
            #expect(try await handedOver > token)
            await one.leave()
            let ended = await #expect(throws: LockError.self) { try await locks.0.withLock(theirs) { _ in } }
            #expect(ended?.code == .shutDown)
        }

        /// Contenders take turns while the shard is owned; nobody waits for what a rebalance brings.
        @Test func tokensGrowInOneProcess() async throws {
            let member = try Member(broker, broker.makeTopic(partitions: 1), partitions: 1)
            let locks = ShardLocks(member.ownership)
            // Waits until the shard is owned.
            var last = try await locks.withLock("job") { $0.fencingToken }
            for _ in 0..<1000 {
                let next = try await locks.withLock("job") { $0.fencingToken }
                #expect(next > last)
                last = next
            }
            await member.leave()
        }

        /// Every confirmation by the group is told, with how long it took and what it proves.
        @Test func renewalsAreReported() async throws {
            let member = try Member(broker, broker.makeTopic(partitions: 1), partitions: 1)
            let (events, told) = AsyncStream.makeStream(of: LockEvent.self)
            struct Teller: LockObserver {
                let told: AsyncStream<LockEvent>.Continuation
                func observe(_ event: LockEvent) { told.yield(event) }
            }
            let locks = ShardLocks(member.ownership, observer: Teller(told: told))
            let held = try await locks.acquire("job", within: .seconds(60))
            var renewals = 0
            var isGranted = false
            for await event in events {
                isGranted = isGranted || event.kind == .granted
                guard event.kind == .renewed else { continue }
                let (proven, roundTrip) = (try #require(event.proven), try #require(event.roundTrip))
                // Nine tenths of the session, from the sending on.
                #expect(roundTrip > .zero && proven + roundTrip == LiveKafka.session(.seconds(3)) * 9 / 10)
                // The first may have come before the lock was granted.
                #expect(event.locksHeld == (isGranted ? 1 : 0))
                renewals += 1
                if renewals >= 3, isGranted { break }
            }
            try await held.release()
            await member.leave()
        }
    }
}

extension ShardLocks {
    /// Tries until the shard is ours, and tells the token.
    fileprivate func retrying(_ name: LockName) async throws -> FencingToken {
        let deadline = ContinuousClock.now.advanced(by: .seconds(60))
        while true {
            do {
                return try await withLock(name, within: .seconds(30)) { $0.fencingToken }
            } catch let error as LockError where error.code == .notOwner && ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(5))
            }
        }
    }
}
