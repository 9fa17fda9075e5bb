import Foundation
import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// One member, and a broker of its own that fails.
    @Suite(.enabled(if: LiveKafka.isMock, "brokers of MQLOCK_KAFKA are not broken")) struct BrokerFaultTests {
        private let own: OwnKafka
        private var broker: LiveKafka { own.broker }

        init() throws { own = try OwnKafka() }

        @Test func whatTheBrokerTakesAwayIsLostAndComesBack() async throws {
            let topic = try broker.makeTopic(partitions: 2)
            let member = try Member(broker, topic, partitions: 2)
            try await eventually("two shards") { member.owns(2) }
            let lease = try #require(member.ownership.lease(for: 0))
            try broker.fault("errors", "OffsetCommit", "UNKNOWN_MEMBER_ID", "1")
            try await eventually("the loss") { !lease.isValid }
            #expect(lease.record.state == .held || lease.record.state.isFinal)
            try await eventually("two shards again") { member.owns(2) }
            #expect(try #require(member.ownership.lease(for: 0)).fencingToken > lease.fencingToken)
            await member.leave()
        }

        /// Answers that come too late prove nothing: what counts is when the request was sent.
        @Test func answersThatAreLaterThanTheSessionExtendNothing() async throws {
            let topic = try broker.makeTopic(partitions: 2)
            let member = try Member(broker, topic, partitions: 2)
            try await eventually("two shards") { member.owns(2) }
            let lease = try #require(member.ownership.lease(for: 0))
            try broker.fault("rtt", "all", "4000")
            // What was answered in time was sent before.
            let start = ContinuousClock.now
            try await eventually("the loss") { !lease.isValid }
            #expect(start.duration(to: lease.record.proof.endsAt) < .seconds(3))
            // The answer to a request that was sent just before the end comes after it.
            try await Task.sleep(for: .seconds(2))
            #expect(!lease.isValid && member.ownership.owned.isEmpty)
            try broker.fault("rtt", "all", "0")
            try await eventually("two shards again") { member.owns(2) }
            await member.leave()
        }

        @Test(arguments: ["slow", "frozen"]) func leavingABrokerThatDoesNotAnswerEndsByItsDeadline(
            _ how: String
        ) async throws {
            let topic = try broker.makeTopic(partitions: 2)
            let name = "leaving-\(UInt64.random(in: 0 ... .max))"
            let member = try Member(broker, topic, partitions: 2) { $0.connection.clientID = name }
            try await eventually("two shards") { member.owns(2) }
            if how == "frozen" { own.signal(SIGSTOP) } else { try broker.fault("rtt", "all", "60000") }
            let start = ContinuousClock.now
            await member.leave()
            // The drain, and half a session for the library to close; what it does after that holds nobody up.
            #expect(start.duration(to: .now) < .seconds(10))
            own.signal(SIGKILL)
            try await eventually("the end of all clients") { ClientHandle.count(named: name) == 0 }
        }

        @Test func withoutABrokerItsOwnDeadlineEndsTheOwnership() async throws {
            let topic = try broker.makeTopic(partitions: 2)
            let member = try Member(broker, topic, partitions: 2)
            try await eventually("two shards") { member.owns(2) }
            let lease = try #require(member.ownership.lease(for: 0))
            try broker.fault("broker", "all", "down")
            let start = ContinuousClock.now
            try await eventually("the loss") { !lease.isValid }
            // By the clock, session less margin after the last renewal was sent.
            #expect(start.duration(to: lease.record.proof.endsAt) < .seconds(3))
            #expect(member.ownership.owned.isEmpty)
            try broker.fault("broker", "all", "up")
            try await eventually("two shards again") { member.owns(2) }
            await member.leave()
        }
    }
}
