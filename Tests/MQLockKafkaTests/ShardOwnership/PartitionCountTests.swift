import CMQLockRdKafka
import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Names would belong to other shards when the number of partitions changes: then nobody may own any.
    @Suite struct PartitionCountTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        /// Of two members, each with its own idea of the number, the one that is wrong ends; the other goes on.
        @Test func whoIsConfiguredWithAnotherNumberIsRefused() async throws {
            let topic = try broker.makeTopic(partitions: 4)
            let right = try Member(broker, topic, partitions: 4)
            let wrong = try Member(broker, topic, partitions: 3)
            let error = try #require(await wrong.end())
            #expect(error.code == .incompatible)
            #expect(wrong.ownership.owned.isEmpty)
            try await eventually("four shards") { right.owns(4) }
            await right.leave()
        }

        @Test(
            .disabled(
                if: LiveKafka.isMock, "kafka: the mock's topics keep their number of partitions; set MQLOCK_KAFKA"))
        func aNumberThatChangesEndsEveryMember() async throws {
            let topic = try broker.makeTopic(partitions: 4)
            let one = try Member(broker, topic, partitions: 4)
            let two = try Member(broker, topic, partitions: 4)
            try await eventually("two shards each") { one.owns(2) && two.owns(2) }
            try await offPool { try grow(topic, to: 6) }
            // Half a session, by what is configured; the library's own default is five minutes.
            try await eventually("the end of all ownership") {
                one.ownership.owned.isEmpty && two.ownership.owned.isEmpty
            }
            for member in [one, two] {
                let error = try #require(await member.end())
                #expect(error.code == .incompatible && error.message.contains("6 partitions"))
            }
        }

        private func grow(_ topic: String, to count: Int) throws {
            let client = try ClientHandle(.producer, ClientSettings(connection: broker.connection, own: []))
            var request = rd_kafka_NewPartitions_new(topic, count, nil, 0)
            defer { rd_kafka_NewPartitions_destroy(request) }
            let queue = try #require(rd_kafka_queue_new(client.raw))
            defer { rd_kafka_queue_destroy(queue) }
            rd_kafka_CreatePartitions(client.raw, &request, 1, nil, queue)
            let event = try #require(rd_kafka_queue_poll(queue, 30_000))
            defer { rd_kafka_event_destroy(event) }
            try KafkaFailure.check(rd_kafka_event_error(event))
        }
    }
}
