import Testing

/// The adapter against a real broker. One after the other: they share it, and some count what is on it.
@Suite(
    .serialized, .enabled(if: LiveBroker.shared != nil, "needs a broker: brokers/with --rabbitmq -- swift test"))
enum LiveBrokerTests {
    static func broker() throws -> LiveBroker { try #require(LiveBroker.shared) }
}
