import MQLock

@testable import MQLockKafka

extension GroupConsumer {
    /// A member of the topic's own group that has joined, and what it knew of itself then. It is polled only here.
    /// - Parameter settings: its time-outs, by librdkafka's names.
    static func joined(
        _ broker: LiveKafka, _ topic: String, _ settings: [(String, String)]
    ) throws -> (GroupConsumer, GroupMetadata) {
        let own =
            [("group.id", topic), ("enable.auto.commit", "false"), ("partition.assignment.strategy", "range")]
            + settings
        let consumer = try GroupConsumer(ClientSettings(connection: broker.connection, own: own), topic: topic)
        try consumer.subscribe()
        let deadline = ContinuousClock.now.advanced(by: .seconds(30))
        while ContinuousClock.now < deadline {
            guard case .assigned(let shards, _)? = consumer.poll(for: .milliseconds(50)) else { continue }
            let metadata = try consumer.metadata()
            try consumer.assign(shards)
            return (consumer, metadata)
        }
        throw LockError(.timedOut, "nothing was assigned")
    }
}
