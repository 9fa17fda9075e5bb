import Testing

@testable import MQLockRabbitMQ

/// What a candidate may acknowledge when the broker has moved its place in the line without a word. Each was found by
/// generated interleavings of the single active consumer, where it is rare.
@Suite struct CandidateTests {
    private let low = Nonce("00000000000000000000000000000001")!
    private let high = Nonce("ffffffffffffffffffffffffffffffff")!
    private let middle = Nonce("44444444444444444444444444444444")!
    private let ours = Nonce("88888888888888888888888888888888")!

    @Test func theKeptTokenThatComesAgainIsNotAcknowledged() {
        var candidate = Candidate(.init(delivery: 1, number: 33, nonce: low))
        candidate.published(65, ours)
        #expect(candidate.received(.init(delivery: 2, number: 33, nonce: low), redelivered: true) == [.displaced])
    }

    @Test func ourOwnTokenThatComesAgainGrantsNothing() {
        var candidate = Candidate(.init(delivery: 1, number: 33, nonce: low))
        candidate.published(65, ours)
        #expect(candidate.confirmed(ours).isEmpty)
        #expect(candidate.received(.init(delivery: 2, number: 65, nonce: ours), redelivered: true) == [.displaced])
    }

    /// Two candidates, each of whom believes to have one of two equal tokens: they keep the same, whichever came first.
    @Test(arguments: [true, false]) func ofEqualTokensEverybodyKeepsTheSame(highFirst: Bool) {
        let (first, second) = highFirst ? (high, low) : (low, high)
        var candidate = Candidate(.init(delivery: 1, number: 33, nonce: first))
        let steps = candidate.received(.init(delivery: 2, number: 33, nonce: second), redelivered: true)
        #expect(candidate.kept.nonce == high)
        #expect(steps == [.acknowledge(highFirst ? 2 : 1)])
    }

    @Test func ofOurOwnAndAnEqualTokenToo() {
        var candidate = Candidate(.init(delivery: 1, number: 1, nonce: low))
        candidate.published(33, ours)
        #expect(candidate.received(.init(delivery: 2, number: 33, nonce: ours), redelivered: false).isEmpty)
        let steps = candidate.received(.init(delivery: 3, number: 33, nonce: middle), redelivered: false)
        // 1 has been outdone by 3, and 3 by ours, which is no longer what we wait for.
        #expect(steps == [.acknowledge(1), .acknowledge(3), .publish(above: 33)])
        #expect(candidate.kept == .init(delivery: 2, number: 33, nonce: ours))
    }
}
