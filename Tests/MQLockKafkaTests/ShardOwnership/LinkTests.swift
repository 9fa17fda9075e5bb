import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// A member whose link to the brokers fails, and one beside it whose link does not. What librdkafka itself knows of such
    /// a loss comes late or never (BROKER-FACTS.md, section 4): only the member's own deadline tells.
    @Suite(.enabled(if: LiveKafka.isMock, "the proxy needs a cluster of one broker on the loopback address"))
    struct LinkTests {
        private static let joinGroup: Int16 = 11
        private let own: OwnKafka
        private let proxy: KafkaProxy
        private let far: LiveKafka
        private let topic: String

        init() throws {
            own = try OwnKafka()
            proxy = try KafkaProxy(to: own.broker)
            far = proxy.broker(of: own.broker)
            topic = try own.broker.makeTopic(partitions: 2)
        }

        private func judge(_ recorder: HistoryRecorder) {
            let verdict = HistoryChecker().check(recorder.events)
            #expect(verdict.isGood, "\(verdict.violations)")
        }

        /// The link goes while the far member's join is in flight: with eager assignment it owns nothing by then, and with it
        /// the library would never be told that it is out.
        @Test func aLinkThatIsCutWhileAJoinIsInFlight() async throws {
            let history = HistoryRecorder(process: "test")
            let one = try RecordedMember("far", far, topic, history)
            try await eventually("two shards") { one.member.owns(2) }
            proxy.change { $0.silentBehind = Self.joinGroup }
            let two = try RecordedMember("near", own.broker, topic, history)
            try await eventually("the join") { proxy.isSilent }
            try await eventually("the other has both") { two.member.owns(2) }
            #expect(one.member.ownership.owned.isEmpty)
            proxy.change {
                $0.isSilent = false
                $0.cut = true
            }
            try await eventually("one each") { one.member.owns(1) && two.member.owns(1) }
            for member in [one, two] { await member.leave() }
            judge(history)
        }

        /// A first join that is never answered is begun anew.
        @Test func aLinkThatIsCutWhileTheFirstJoinIsInFlight() async throws {
            let history = HistoryRecorder(process: "test")
            proxy.change { $0.silentBehind = Self.joinGroup }
            let one = try RecordedMember("far", far, topic, history)
            try await eventually("the join") { proxy.isSilent }
            let two = try RecordedMember("near", own.broker, topic, history)
            try await eventually("the other has both") { two.member.owns(2) }
            proxy.change {
                $0.isSilent = false
                $0.cut = true
            }
            try await eventually("one each") { one.member.owns(1) && two.member.owns(1) }
            for member in [one, two] { await member.leave() }
            judge(history)
        }

        /// Answers come late, and then not at all: the library counts its session from their receipt. 2.5 s are less than
        /// the session of 3 s, 3.5 s more.
        @Test(arguments: [2500, 3500]) func answersThatAreDelayedAndThenCut(_ delay: Int) async throws {
            let history = HistoryRecorder(process: "test")
            let one = try RecordedMember("far", far, topic, history)
            let two = try RecordedMember("near", own.broker, topic, history)
            try await eventually("one each") { one.member.owns(1) && two.member.owns(1) }
            let shard = try #require(one.member.ownership.owned.first)
            let lease = try #require(one.member.ownership.lease(for: shard))
            let start = ContinuousClock.now
            proxy.change { $0.delay = .milliseconds(delay) }
            try await eventually("the end of the ownership") { !lease.isValid }
            // Less than a session after the last renewal that can have been answered in time was sent.
            #expect(start.duration(to: lease.record.proof.endsAt) < .seconds(3))
            proxy.change { $0.isSilent = true }
            try await eventually("the other has both") { two.member.owns(2) }
            #expect(one.member.ownership.owned.isEmpty)
            proxy.change {
                $0.isSilent = false
                $0.delay = .zero
                $0.cut = true
            }
            try await eventually("one each again") { one.member.owns(1) && two.member.owns(1) }
            for member in [one, two] { await member.leave() }
            judge(history)
        }

        /// That the test before can fail: nothing but the deadline ends the ownership, for the broker hears every heartbeat,
        /// and the library has an answer within each session.
        @Test func withoutADeadlineDelayedAnswersEndNothing() async throws {
            let one = try Member(far, topic, partitions: 2, validity: .seconds(60))
            try await eventually("two shards") { one.owns(2) }
            let lease = try #require(one.ownership.lease(for: 0))
            proxy.change { $0.delay = .milliseconds(1500) }
            try await Task.sleep(for: .seconds(4))
            #expect(lease.isValid)
            proxy.change { $0.delay = .zero }
            await one.leave()
        }
    }
}

/// A member whose ownerships are written into a history.
private final class RecordedMember: Sendable {
    let member: Member
    private let recording: Task<Void, Never>

    init(
        _ name: String, _ broker: LiveKafka, _ topic: String, _ history: HistoryRecorder, validity: Duration? = nil
    ) throws {
        let member = try Member(broker, topic, partitions: 2, validity: validity)
        self.member = member
        let events = member.ownership.events
        recording = Task {
            var all: [Task<Void, Never>] = []
            for await event in events where event.kind == .owned || event.kind == .regained {
                guard let lease = event.shard.flatMap({ member.ownership.lease(for: $0) }) else { continue }
                all.append(history.record(lease: lease, contender: name))
            }
            for one in all { await one.value }
        }
    }

    /// Leaves the group, and has everything written.
    func leave() async {
        await member.leave()
        await recording.value
    }
}
