import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    @Suite struct TransactionTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        private func read(
            _ topic: String, _ isolation: LogReader.Isolation
        ) throws -> [String] {
            let reader = try LogReader(broker.connection, group: topic, isolation)
            let range = try reader.bounds(topic, 0, within: .seconds(10))
            var values: [String] = []
            try reader.read(topic, [0: range], within: .seconds(10)) {
                values.append("\(String(decoding: $0.key, as: UTF8.self))=\(String(decoding: $0.value, as: UTF8.self))")
            }
            return values
        }

        private func record(_ topic: String, _ value: String) -> TransactionalProducer.Record {
            .init(topic: topic, partition: 0, key: Array("k".utf8), value: Array(value.utf8))
        }

        @Test func whatIsCommittedIsRead() async throws {
            try await offPool {
                let topic = try broker.makeTopic(partitions: 1)
                let producer = try TransactionalProducer(broker.connection, id: topic, timeout: .seconds(10))
                try producer.start(within: .seconds(10))
                for value in ["1", "2", ""] {
                    try producer.begin()
                    try producer.produce(record(topic, value))
                    try producer.commit(within: .seconds(10))
                }
                #expect(try read(topic, .uncommitted) == ["k=1", "k=2", "k="])
                #expect(try ClusterMetadata.partitionCount(of: topic, producer.handle, within: .seconds(10)) == 1)
                #expect(
                    try ClusterMetadata.partitionCount(of: broker.nameNoTopic(), producer.handle, within: .seconds(10))
                        == nil)
            }
        }

        @Test(.disabled(if: LiveKafka.isMock, "kafka: the mock knows no read_committed"))
        func whatIsAbortedIsReadUncommittedOnly() async throws {
            try await offPool {
                let topic = try broker.makeTopic(partitions: 1)
                let producer = try TransactionalProducer(broker.connection, id: topic, timeout: .seconds(10))
                try producer.start(within: .seconds(10))
                for value in ["1", "2", "3"] {
                    try producer.begin()
                    try producer.produce(record(topic, value))
                    if value == "2" {
                        // The abort purges what has not been sent yet.
                        try eventually { try read(topic, .uncommitted).count == 2 }
                        try producer.abort(within: .seconds(10))
                    } else {
                        try producer.commit(within: .seconds(10))
                    }
                }
                #expect(try read(topic, .uncommitted) == ["k=1", "k=2", "k=3"])
                #expect(try read(topic, .committed) == ["k=1", "k=3"])
            }
        }

        private func eventually(_ condition: () throws -> Bool) throws {
            let deadline = ContinuousClock.now.advanced(by: .seconds(30))
            while try !condition() { try #require(ContinuousClock.now < deadline) }
        }

        @Test(.disabled(if: LiveKafka.isMock, "kafka: the mock fences nobody"))
        func offsetsOfAStaleMemberAreRefused() async throws {
            try await offPool {
                let topic = try broker.makeTopic(partitions: 1)
                let own = [("group.id", topic), ("session.timeout.ms", "6000"), ("enable.auto.commit", "false")]
                let consumer = try GroupConsumer(ClientSettings(connection: broker.connection, own: own), topic: topic)
                try consumer.subscribe()
                let deadline = ContinuousClock.now.advanced(by: .seconds(30))
                var snapshot: GroupMetadata?
                while snapshot == nil, ContinuousClock.now < deadline {
                    guard case .assigned(let all, _)? = consumer.poll(for: .milliseconds(100)) else { continue }
                    snapshot = try consumer.metadata()
                    try consumer.assign(all)
                }
                let stale = try #require(snapshot)
                let producer = try TransactionalProducer(broker.connection, id: topic, timeout: .seconds(10))
                try producer.start(within: .seconds(10))
                try producer.begin()
                try producer.send([TopicPartitions(topic, offsets: [0: 1])], stale, within: .seconds(10))
                try producer.commit(within: .seconds(10))
                try consumer.beginClosing()
                while !consumer.isClosed, ContinuousClock.now < deadline {
                    if case .revoked? = consumer.poll(for: .milliseconds(20)) { try consumer.unassign() }
                }
                try producer.begin()
                let refusal = #expect(throws: KafkaFailure.self) {
                    try producer.send([TopicPartitions(topic, offsets: [0: 2])], stale, within: .seconds(10))
                }
                #expect(
                    refusal?.code.isStaleMembership == true && refusal?.needsAbort == true && refusal?.isFatal == false)
                try producer.abort(within: .seconds(10))
            }
        }
    }
}
