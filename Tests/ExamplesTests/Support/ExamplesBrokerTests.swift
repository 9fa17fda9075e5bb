import Testing

/// The built examples against a real broker; one after the other, since they count on their workers being served soon.
@Suite("examples", .serialized, .timeLimit(.minutes(1)), .enabled(if: Broker.uri != nil, Broker.reason))
struct ExamplesBrokerTests {}
