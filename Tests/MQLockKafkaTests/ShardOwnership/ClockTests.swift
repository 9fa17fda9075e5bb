import Foundation
import MQLock
import Testing

@testable import MQLockKafka

@Suite struct ClockJudgementTests {
    private let now: Int64 = 1_800_000_000_000
    private let day = Duration.seconds(24 * 60 * 60)

    /// In both directions, to the millisecond; a broker that cannot know the time is no witness.
    @Test func aClockIsComparedWithTheBrokers() {
        let limit: Int64 = 86_400_000
        for distance in [0, 1, -1, limit, -limit] {
            #expect(throws: Never.self) { try ClaimNumber.check(now + distance, against: now, lead: day) }
        }
        for distance in [limit + 1, -limit - 1, Int64.max - now] {
            let error = #expect(throws: LockError.self) {
                try ClaimNumber.check(now + distance, against: now, lead: day)
            }
            #expect(error?.message.contains("clock") == true)
        }
        for broker in [0, 1234, -1, Int64.min] {
            #expect(throws: Never.self) { try ClaimNumber.check(now, against: broker, lead: day) }
        }
        #expect(throws: LockError.self) { try ClaimNumber.check(now + 1, against: now, lead: .zero) }
    }
}

extension LiveKafkaTests {
    /// Members whose clock is wrong, and what they leave behind.
    @Suite struct ClockTests {
        private static let days = Duration.seconds(2 * 24 * 60 * 60)
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        private static func ahead() -> Int64 { WallClock.now + days.nanoseconds / 1_000_000 }

        /// The topic tells the broker's time: nothing is claimed, and others go on.
        @Test(
            .enabled(
                if: LiveKafka.tellsTime, "kafka: the broker keeps no LogAppendTime; set MQLOCK_KAFKA to one that does"),
            arguments: [ClaimMethod.transactional, .acknowledged])
        func aFarClockIsRefusedBeforeItClaims(_ method: ClaimMethod) async throws {
            let topic = try await offPool {
                try broker.makeTopic(partitions: 1, ["message.timestamp.type": "LogAppendTime"])
            }
            let settings = ClaimWorker.Settings(
                connection: broker.connection, topic: topic, group: topic, partitions: 1, owner: "far", method: method,
                wallClock: { Self.ahead() })
            let refusal = await Self.refusal(ClaimWorker(settings, log: { _ in }))
            #expect(refusal?.message.contains("clock") == true)
            let claims = try await offPool { try broker.read(topic, .uncommitted).filter { $0.contains("/shard/") } }
            #expect(claims.isEmpty)
            let member = try Member(broker, topic, partitions: 1) { $0.claims = method }
            try await eventually("the shard") { member.owns(1) }
            await member.leave()
        }

        /// The same with a made-up time of the topic, which the embedded Kafka does not tell.
        @Test func aClockIsComparedBeforeAnythingIsClaimed() async throws {
            let topic = try broker.makeTopic(partitions: 1)
            let settings = ClaimWorker.Settings(
                connection: broker.connection, topic: topic, group: topic, partitions: 1, owner: "far")
            let far = WallClock.now - Self.days.nanoseconds / 1_000_000
            let refusal = await Self.refusal(ClaimWorker(settings, writer: TimedWriter(far), log: { _ in }))
            #expect(refusal?.message.contains("clock") == true)
            let right = await Self.refusal(ClaimWorker(settings, writer: TimedWriter(WallClock.now), log: { _ in }))
            #expect(right == nil)
        }

        /// Why a member ends before it claims.
        private static func refusal(_ worker: ClaimWorker) async -> LockError? {
            defer { worker.close() }
            return await withCheckedContinuation { continuation in
                worker.warmUp(seen: {}) { outcome, error in
                    if case .failed = outcome { return continuation.resume(returning: error) }
                    continuation.resume(returning: nil)
                }
            }
        }

        /// Writes nothing.
        private final class TimedWriter: ClaimWriter {
            let brokerTime: Int64?
            init(_ time: Int64) { brokerTime = time }
            func warmUp() {}
            func write(
                _ claims: [Int32: ClaimRecord], _ offsets: [Int32: Int64], _ metadata: GroupMetadata,
                _ reader: LogReader, _ goOn: () throws -> Void
            ) {}
            func close() {}
        }

        /// One far claim ends members that do not tolerate it; those that do go on above it, in the same topic.
        @Test func aFarClaimIsGotOverByTolerance() async throws {
            let topic = try broker.makeTopic(partitions: 1)
            let far = try ClaimNumber.next(above: nil, at: Self.ahead())
            try await offPool {
                let producer = try AcknowledgedProducer(broker.connection, timeout: .seconds(10))
                let claim = ClaimRecord(partitions: 1, owner: "far", member: "m", number: far)
                try producer.produce([claim.record(of: 0, topic)], within: .seconds(10))
            }
            let strict = try Member(broker, topic, partitions: 1)
            let error = try #require(await strict.end())
            #expect(error.code == .tokenRegression && error.message.contains("toleratedLead"), "\(error)")
            let member = try Member(broker, topic, partitions: 1) { $0.toleratedLead = Self.days * 2 }
            try await eventually("the shard") { member.owns(1) }
            let token = try #require(member.ownership.lease(for: 0)?.fencingToken)
            #expect(token.rawValue > far)
            await member.leave()
        }
    }

    /// A claim of many shards asks the brokers no more often than one of a single shard.
    @Suite(.enabled(if: LiveKafka.isMock, "the proxy needs a cluster of one broker on the loopback address"))
    struct ClaimCostTests {
        private static let (listOffsets, offsetFetch, endTxn): (Int16, Int16, Int16) = (2, 9, 26)

        @Test func requestsDoNotGrowWithTheShards() async throws {
            let one = try await counts(of: 1)
            #expect(one.allSatisfy { $0 > 0 }, "\(one)")
            // On a busy machine the group's own consumer sometimes asks for each partition, before it is told not to read.
            var many: [[Int]] = []
            while many.last != one, many.count < 4 { many.append(try await counts(of: 40)) }
            #expect(many.last == one, "\(one), \(many)")
        }

        private func counts(of partitions: Int) async throws -> [Int] {
            let own = try OwnKafka()
            let proxy = try KafkaProxy(to: own.broker)
            let broker = proxy.broker(of: own.broker)
            let topic = try own.broker.makeTopic(partitions: partitions)
            let member = try Member(broker, topic, partitions: partitions)
            try await eventually("\(partitions) shards") { member.owns(partitions) }
            let counts = [Self.listOffsets, Self.offsetFetch, Self.endTxn].map { proxy.requests($0) }
            await member.leave()
            return counts
        }
    }
}
