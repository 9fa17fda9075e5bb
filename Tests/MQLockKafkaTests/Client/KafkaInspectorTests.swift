import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    @Suite(.serialized) struct KafkaInspectorTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        @Test func seesHowManyPartitionsATopicHas() async throws {
            let topic = try broker.makeTopic(partitions: 7)
            let inspector = KafkaInspector(broker.connection)
            #expect(try await inspector.partitionCount(of: topic) == 7)
            if LiveKafka.isMock { #expect(try await inspector.partitionCount(of: broker.nameNoTopic()) == nil) }
            let setup = try await inspector.setup(of: topic)
            #expect(setup.brokers >= 1 && setup.replicas >= 1)
        }

        @Test(.enabled(if: LiveKafka.isMock, "the error is injected into the embedded Kafka"))
        func whatItMayNotSeeIsRefused() async throws {
            try broker.fault("topic-error", "mqlock-secret", "TOPIC_AUTHORIZATION_FAILED")
            let error = await #expect(throws: LockError.self) {
                try await KafkaInspector(broker.connection).partitionCount(of: "mqlock-secret")
            }
            #expect(error?.code == .accessRefused)
        }

        @Test func nobodyThere() async {
            let inspector = KafkaInspector(KafkaConnection(brokers: ["127.0.0.1:1"]))
            let error = await #expect(throws: LockError.self) {
                try await inspector.partitionCount(of: "any", within: .milliseconds(300))
            }
            #expect(error?.code == .unreachable)
        }

        @Test func aQuestionThatIsCancelledEnds() async {
            let inspector = KafkaInspector(KafkaConnection(brokers: ["127.0.0.1:1"]))
            let question = Task { try await inspector.partitionCount(of: "any", within: .seconds(600)) }
            question.cancel()
            let result = await question.result
            #expect { try result.get() } throws: { ($0 as? LockError)?.code == .cancelled }
        }
    }
}
