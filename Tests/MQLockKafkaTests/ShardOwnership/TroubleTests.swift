import CMQLockRdKafka
import MQLock
import Testing

@testable import MQLockKafka

/// What keeps shards from being owned is told when it lasts, and once in a while as long as it does.
@Suite struct ClaimTroublesTests {
    private let error = LockError(.unreachable, "claiming: no leader")

    @Test func whatLastsIsReported() {
        var troubles = ClaimTroubles(session: .seconds(20))
        let start = ContinuousClock.now
        var told: [Int] = []
        for second in 0...60 {
            let now = start.advanced(by: .seconds(second))
            if troubles.failed(error, begun: now, now: now) { told.append(second) }
        }
        #expect(told == [5, 25, 45])
        func isReported(_ text: String, begun: Int, now: Int) -> Bool {
            troubles.failed(
                LockError(.unreachable, text), begun: start.advanced(by: .seconds(begun)),
                now: start.advanced(by: .seconds(now)))
        }
        // Another one is news.
        let news = [isReported("other", begun: 61, now: 61), isReported("other", begun: 61, now: 61)]
        #expect(news == [true, false])
        // What came to a good end begins anew; a single attempt that took long is told at once.
        troubles.ended()
        let short = isReported("other", begun: 70, now: 74)
        troubles.ended()
        let long = isReported("other", begun: 80, now: 90)
        #expect(!short && long)
    }
}

extension LiveKafkaTests {
    /// A broker that fails at one request of a claim or of a join, again and again.
    @Suite(.enabled(if: LiveKafka.isMock, "errors are injected into the embedded Kafka")) struct TroubleTests {
        private let own: OwnKafka
        private var broker: LiveKafka { own.broker }

        init() throws { own = try OwnKafka() }

        /// Whichever request of a claim fails, and however it does, people hear of it; and it is over when it ends.
        @Test(arguments: [
            ("InitProducerId", "COORDINATOR_LOAD_IN_PROGRESS"), ("Produce", "NOT_ENOUGH_REPLICAS"),
            ("AddOffsetsToTxn", "COORDINATOR_LOAD_IN_PROGRESS"), ("TxnOffsetCommit", "COORDINATOR_LOAD_IN_PROGRESS"),
            ("OffsetFetch", "UNSTABLE_OFFSET_COMMIT"), ("ListOffsets", "LEADER_NOT_AVAILABLE"),
            ("InitProducerId", "TRANSACTIONAL_ID_AUTHORIZATION_FAILED"),
        ])
        func aClaimThatKeepsFailingIsReported(_ request: String, _ error: String) async throws {
            let topic = try broker.makeTopic(partitions: 1)
            // Only what is refused from the start ends the run.
            let isRefusal = error.contains("AUTHORIZATION")
            try broker.fault("errors", request, error, "10000")
            let member = try Member(broker, topic, partitions: 1)
            if isRefusal {
                let error = try #require(await member.end())
                #expect(error.code == .accessRefused)
                return
            }
            let warning = try #require(await member.ownership.firstWarning())
            #expect(warning.errorCode != nil)
            let text = try #require(warning.reason?.detail)
            let refused = await #expect(throws: LockError.self) {
                try await member.ownership.withShard(of: "any") { _ in }
            }
            #expect(refused?.code == .notOwner && refused?.message.contains("claiming") == true, "\(text)")
            let late = await #expect(throws: LockError.self) {
                try await ShardLocks(member.ownership).acquire("any", within: .milliseconds(1)).release()
            }
            #expect(late?.code == .timedOut && late?.message.contains("claiming") == true)
            try broker.fault("errors", request, "clear")
            try await member.ownership.ready(within: .seconds(60))
            #expect(member.owns(1) && member.ownership.board.hindrance == nil)
            await member.leave()
        }

        /// What no repetition mends ends the run, with what to do.
        @Test(arguments: [
            ("JoinGroup", "INVALID_SESSION_TIMEOUT", LockError.Code.invalidConfiguration),
            ("JoinGroup", "INCONSISTENT_GROUP_PROTOCOL", .incompatible), ("Produce", "INVALID_RECORD", .incompatible),
            ("Produce", "INVALID_TIMESTAMP", .internalError), ("InitProducerId", "UNSUPPORTED_VERSION", .incompatible),
        ])
        func whatIsFinalEndsTheRun(_ request: String, _ name: String, _ code: LockError.Code) async throws {
            let topic = try broker.makeTopic(partitions: 1)
            try broker.fault("errors", request, name, "10000")
            let member = try Member(broker, topic, partitions: 1)
            let error = try #require(await member.end())
            #expect(error.code == code, "\(error)")
        }
    }

    /// Topics that are not there yet, or not any more.
    @Suite struct MissingTopicTests {
        private let own: OwnKafka?
        private let broker: LiveKafka

        init() throws {
            own = LiveKafka.isMock ? try OwnKafka() : nil
            broker = try own?.broker ?? LiveKafkaTests.broker()
        }

        private func hide(_ topic: String) throws {
            if LiveKafka.isMock {
                try broker.fault("topic-error", topic, "UNKNOWN_TOPIC_OR_PART")
            } else {
                try broker.deleteTopic(topic)
            }
        }

        /// Brokers show a new topic up to a second after they have said that it was made.
        @Test(
            .enabled(
                if: !LiveKafka.isMock || LiveKafka.libraryTakesErrorsBesidePartitions,
                "librdkafka 2.4.0 to 2.8.0 crashes on what the mock says"))
        func aTopicThatComesALittleLaterIsOwned() async throws {
            let topic = try broker.makeTopic(partitions: 4)
            try await offPool { try hide(topic) }
            let member = try Member(broker, topic, partitions: 4)
            try await Task.sleep(for: .seconds(1))
            if LiveKafka.isMock {
                try broker.fault("topic-error", topic, "NO_ERROR")
            } else {
                try await offPool { try broker.create(topic, partitions: 4) }
            }
            try await eventually("four shards") { member.owns(4) }
            let end = await member.leave()
            #expect(end == nil)
        }

        /// Members of a topic that was deleted for good do not wait for ever.
        @Test(
            .enabled(
                if: !LiveKafka.isMock || LiveKafka.libraryTakesErrorsBesidePartitions,
                "librdkafka 2.4.0 to 2.8.0 crashes on what the mock says"))
        func aTopicThatGoesForGoodEndsItsMembers() async throws {
            let topic = try broker.makeTopic(partitions: 2)
            let member = try Member(broker, topic, partitions: 2)
            try await eventually("two shards") { member.owns(2) }
            try await offPool { try hide(topic) }
            let error = try #require(await member.end())
            #expect(error.code == .incompatible && error.message.contains("there is no topic"), "\(error)")
            #expect(member.ownership.owned.isEmpty)
        }
    }
}

extension ShardOwnership {
    /// The next warning among the events; nil when the ownership ends before.
    func firstWarning() async -> ShardEvent? {
        for await event in events where event.kind == .warning { return event }
        return nil
    }
}

extension LiveKafka {
    /// See issue 4907 of librdkafka.
    static var libraryTakesErrorsBesidePartitions: Bool { !(0x0204_0000..<0x0208_01ff).contains(rd_kafka_version()) }
}
