import Testing

/// Many processes and real faults, on a broker of their own. One after the other: they stop that broker.
@Suite(
    .serialized, .timeLimit(.minutes(LiveBroker.isFullRun ? 60 : 6)),
    .enabled(if: LiveBroker.shared != nil, "needs a broker: brokers/with --rabbitmq -- swift test"),
    .enabled(if: PrivateNode.isPossible, "needs a broker to stop: run brokers/with --rabbitmq -- swift test"))
enum TortureTests {}

/// Faults that are mostly waited for: the broker looks for them now and then. Beside ``TortureTests``, so their node is
/// another.
@Suite(
    .serialized, .timeLimit(.minutes(LiveBroker.isFullRun ? 60 : 6)),
    .enabled(if: LiveBroker.shared != nil, "needs a broker: brokers/with --rabbitmq -- swift test"),
    .enabled(if: PrivateNode.isPossible, "needs a broker to stop: run brokers/with --rabbitmq -- swift test"))
enum PatientTortureTests {}
