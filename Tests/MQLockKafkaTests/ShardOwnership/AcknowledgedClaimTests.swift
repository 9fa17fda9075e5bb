import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Claims on brokers that have no transactions.
    @Suite(.serialized) struct AcknowledgedClaimTests {
        private let own: OwnKafka?
        private let broker: LiveKafka

        /// Errors are injected: not into what other tests use.
        init() throws {
            own = LiveKafka.isMock ? try OwnKafka() : nil
            broker = try own?.broker ?? LiveKafkaTests.broker()
        }

        @Test func numbersGrowAndOutputIsNotFenced() async throws {
            let topic = try broker.makeTopic(partitions: 2)
            var last = [FencingToken?](repeating: nil, count: 2)
            // No broker of ours lacks transactions, but one can be told to refuse what begins them.
            if broker.control != nil { try broker.fault("errors", "InitProducerId", "UNSUPPORTED_VERSION", "1000") }
            defer { if broker.control != nil { try? broker.fault("errors", "InitProducerId", "clear") } }
            for method in [ClaimMethod.acknowledged, .transactional] {
                if method == .transactional, broker.control != nil {
                    try broker.fault("errors", "InitProducerId", "clear")
                }
                let member = try Member(broker, topic, partitions: 2) { $0.claims = method }
                try await eventually("two shards") { member.owns(2) }
                for shard in 0...1 {
                    let token = try #require(member.ownership.lease(for: shard)).fencingToken
                    if let last = last[shard] { #expect(token > last) }
                    last[shard] = token
                }
                let locks = ShardLocks(member.ownership)
                let inside = try await locks.withLock("job") { $0.fencingToken }
                #expect(inside > (try #require(last[member.ownership.shard(of: "job")])))
                if method == .acknowledged {
                    let error = #expect(throws: LockError.self) { try FencedProducer(member.ownership) }
                    #expect(error?.code == .invalidConfiguration)
                }
                await member.leave()
            }
        }

        /// A claim that another one stands behind is not owned by; the next one is above both.
        @Test func aClaimThatIsNotTheNewestIsMadeAnew() throws {
            let topic = try broker.makeTopic(partitions: 1)
            let settings = ClaimWorker.Settings(
                connection: broker.connection, topic: topic, group: topic, partitions: 1, owner: "test",
                method: .acknowledged)
            let writer = AcknowledgedClaimWriter(settings, log: { _ in })
            let reader = try LogReader(broker.connection, group: topic, .uncommitted)
            func claim(_ number: UInt64, _ owner: String) -> ClaimRecord {
                ClaimRecord(partitions: 1, owner: owner, member: owner, number: number)
            }
            try writer.write([0: claim(10, "one")], [0: 0], reader, appended: {}) {}
            #expect(throws: AcknowledgedClaimWriter.Overtaken.self) {
                // A former owner's, between our append and our look.
                try writer.write(
                    [0: claim(20, "one")], [0: 0], reader,
                    appended: {
                        try writer.write([0: claim(15, "late")], [0: 0], reader, appended: {}) {}
                    }
                ) {}
            }
            try writer.write([0: claim(30, "one")], [0: 0], reader, appended: {}) {}
            // Stopped before the append: nothing is written.
            struct Stopped: Error {}
            #expect(throws: Stopped.self) {
                try writer.write([0: claim(40, "one")], [0: 0], reader, appended: {}) { throw Stopped() }
            }
            #expect(try broker.read(topic, .uncommitted).count == 4)
        }
    }
}
