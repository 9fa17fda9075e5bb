import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Every kind of client, on a broker that wants a password.
    @Suite(
        .serialized,
        .enabled(
            if: LiveKafka.authenticating != nil,
            "kafka: no broker that authenticates; set MQLOCK_KAFKA_SASL=user:password@host:port (SCRAM-SHA-256)"))
    struct AuthenticationTests {
        @Test func shardsAreOwnedAndOutputIsWrittenWithAPassword() async throws {
            let broker = try #require(LiveKafka.authenticating)
            let topic = try broker.makeTopic(partitions: 2)
            let output = try broker.makeTopic(partitions: 1)
            for method in [ClaimMethod.transactional, .acknowledged] {
                let member = try Member(broker, topic, partitions: 2) { $0.claims = method }
                try await eventually("two shards") { member.owns(2) }
                if method == .transactional {
                    let lease = try #require(member.ownership.lease(for: 0))
                    try await FencedProducer(member.ownership).transaction(for: lease) {
                        $0.send(output, key: "k", value: "v")
                    }
                    let count = try await OutputReader(member.ownership).restore(
                        output, partitions: [0], for: lease, into: 0
                    ) { count, _ in count += 1 }
                    #expect(count == 1)
                }
                await member.leave()
            }
        }
    }
}
