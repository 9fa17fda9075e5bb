import Foundation
import MQLock
import Testing

@testable import MQLockKafka

@Suite struct ClaimRecordTests {
    /// Milliseconds since 1970.
    private let now: Int64 = 1_800_000_000_000

    @Test func aRecordIsReadAsItWasWritten() throws {
        let record = ClaimRecord(partitions: 12, owner: "höst/1", member: "m-1", number: FencingToken.maximum)
        let value = try record.value()
        #expect(ClaimRecord(key: ClaimRecord.key(3), value: value, shard: 3) == record)
        #expect(ClaimRecord(key: ClaimRecord.key(3), value: value, shard: 4) == nil)
        #expect(ClaimRecord(key: Array("mqlock.v1/warm-up".utf8), value: [], shard: 0) == nil)
        for wrong in [
            "", "{}", "[1]", String(decoding: value, as: UTF8.self).replacing("mqlock.v1", with: "mqlock.v2"),
        ] {
            #expect(ClaimRecord(key: ClaimRecord.key(3), value: Array(wrong.utf8), shard: 3) == nil, "\(wrong)")
        }
        let long = ClaimRecord(
            partitions: 1, owner: String(repeating: "x", count: ClaimRecord.maximumLength), member: "", number: 1)
        #expect(throws: LockError.self) { try long.value() }
    }

    @Test func numbersGrowAndFollowTheClock() throws {
        let first = try ClaimNumber.next(above: nil, at: now)
        #expect(first == UInt64(1_800_000_000 - 1_767_225_600) * 1000 << 21)
        #expect(try ClaimNumber.next(above: first, at: now) == first + ClaimNumber.grants)
        #expect(try ClaimNumber.next(above: first, at: now + 1000) > first + ClaimNumber.grants)
        // What is claimed anew on a clock that went back is above all the same.
        #expect(try ClaimNumber.next(above: first, at: now - 3_600_000) == first + ClaimNumber.grants)
    }

    @Test func numbersOutOfAllBoundsAreRefused() throws {
        let far = try ClaimNumber.next(above: nil, at: now + 90_000_000)
        for (largest, moment) in [(far, now), (.max, now), (FencingToken.maximum, now)] {
            let error = #expect(throws: LockError.self) { try ClaimNumber.next(above: largest, at: moment) }
            #expect(error?.code == .tokenRegression)
        }
        #expect(throws: LockError.self) { try ClaimNumber.next(above: nil, at: 0) }
    }
}

extension LiveKafkaTests {
    /// What a broker that fences does with those who own no more.
    @Suite(.disabled(if: LiveKafka.isMock, "kafka: the mock fences nobody"))
    struct ClaimTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        private func worker(_ topic: String) -> ClaimWorker {
            ClaimWorker(
                .init(
                    connection: broker.connection, topic: topic, group: topic, partitions: 1, owner: "test",
                    transactionTimeout: .seconds(5)), log: { _ in })
        }

        private func join(_ topic: String) throws -> (GroupConsumer, GroupMetadata) {
            try GroupConsumer.joined(broker, topic, [("session.timeout.ms", "6000"), ("heartbeat.interval.ms", "300")])
        }

        private func leave(_ consumer: GroupConsumer) throws {
            try consumer.beginClosing()
            let deadline = ContinuousClock.now.advanced(by: .seconds(30))
            while !consumer.isClosed, ContinuousClock.now < deadline {
                if case .revoked? = consumer.poll(for: .milliseconds(20)) { try consumer.unassign() }
            }
        }

        @Test func aStaleMembersClaimIsRefused() async throws {
            let topic = try broker.makeTopic(partitions: 1)
            let worker = worker(topic)
            let (first, stale) = try join(topic)
            guard case .committed(let claims) = await worker.claim([0], stale) else {
                throw LockError(.internalError, "refused")
            }
            try leave(first)
            #expect(await worker.claim([0], stale) == .stale)
            let (second, metadata) = try join(topic)
            #expect(await worker.claim([0], stale) == .stale)
            guard case .committed(let next) = await worker.claim([0], metadata) else {
                throw LockError(.internalError, "refused")
            }
            #expect(try #require(next[0]).number > #require(claims[0]).number)
            #expect(try #require(next[0]).offset > #require(claims[0]).offset)
            try leave(second)
            worker.close()
        }

        /// A former owner whose transaction is still open has written a larger number, which may yet be committed.
        @Test func anOpenTransactionIsWaitedForAndItsNumberIsNotRepeated() async throws {
            let topic = try broker.makeTopic(partitions: 1)
            let (first, metadata) = try join(topic)
            let zombie = try TransactionalProducer(broker.connection, id: "\(topic)/zombie", timeout: .seconds(2))
            try zombie.start(within: .seconds(10))
            let ahead = try ClaimNumber.next(above: nil, at: WallClock.now + 3_600_000)
            let record = ClaimRecord(partitions: 1, owner: "zombie", member: "m", number: ahead)
            try zombie.begin()
            try zombie.produce(
                .init(topic: topic, partition: 0, key: ClaimRecord.key(0), value: record.value()))
            try zombie.send([TopicPartitions(topic, offsets: [0: 0])], metadata, within: .seconds(5))
            try leave(first)

            let (second, fresh) = try join(topic)
            let worker = worker(topic)
            guard case .committed(let claims) = await worker.claim([0], fresh) else {
                throw LockError(.internalError, "refused")
            }
            // By then the broker has aborted it: the zombie is refused.
            let refusal = #expect(throws: KafkaFailure.self) { try zombie.commit(within: .seconds(5)) }
            #expect(refusal?.isFatal == true || refusal?.needsAbort == true)
            // Aborted or not, its number was read.
            #expect(try #require(claims[0]).number >= ahead + ClaimNumber.grants)
            try leave(second)
            worker.close()
        }
    }
}
