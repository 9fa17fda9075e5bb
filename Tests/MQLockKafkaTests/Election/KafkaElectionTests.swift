import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    @Suite(.serialized) struct KafkaElectionTests {
        private let own: OwnKafka?
        private let broker: LiveKafka

        /// Errors are injected: not into what other tests use.
        init() throws {
            own = LiveKafka.isMock ? try OwnKafka() : nil
            broker = try own?.broker ?? LiveKafkaTests.broker()
        }

        private static func configuration(_ broker: LiveKafka, _ topic: String) -> ShardOwnership.Configuration {
            var configuration = ShardOwnership.Configuration(
                connection: broker.connection, topic: topic, partitions: 1)
            configuration.session = LiveKafka.session(.seconds(3))
            configuration.drainTimeout = .seconds(1)
            configuration.backoff = .milliseconds(50) ... .milliseconds(200)
            return configuration
        }

        /// What a rebalance of the embedded Kafka takes, two seconds, makes the rest too long.
        @Test func electionsKeepTheRules() async throws {
            try await check(["ceded leadership goes to another, and may come back"])
        }

        @Test(
            .enabled(
                if: ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1",
                "full: the election suite takes two minutes beside the embedded Kafka"))
        func electionsKeepAllTheRules() async throws { try await check(nil) }

        private func check(_ titles: Set<String>?) async throws {
            let broker = broker
            let made = Locked<[KafkaElection]>([])
            var subject = ElectionSubject<KafkaElection>(handOverLimit: .seconds(8)) { name, count in
                try await eventually("\(count) candidates in line") {
                    let line = made.withLock { $0.filter { $0.name == name && $0.source.isInLine } }
                    return line.count >= count
                }
            } make: { options in
                var configuration = Self.configuration(broker, options.name.string)
                configuration.owner = options.owner
                let election = try KafkaElection(configuration, settings: options.settings)
                made.withLock { $0.append(election) }
                return election
            }
            subject.makeName = { try LockName(broker.makeTopic(partitions: 1)) }
            subject.close = { await $0.resign() }
            subject.turns = 3
            subject.observesOthers = true
            subject.joiningInterrupts = true
            if broker.control != nil {
                // One renewal is refused: that of the leader, for nobody else renews.
                subject.endSession = { _ in try broker.fault("errors", "OffsetCommit", "UNKNOWN_MEMBER_ID", "1") }
            }
            let report = await ElectionSuite(subject).run(titles)
            print(report)
            #expect(report.hasPassed, "\(report)")
            #expect(!report.entries.isEmpty)
        }

        /// A group is left in good order, and by the deadline also when no broker answers.
        @Test(
            .enabled(
                if: LiveKafka.isMock && ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1",
                "full: the embedded Kafka's answers are delayed by a minute"))
        func aServiceOnAFrozenBrokerEndsByItsDeadline() async throws {
            let topic = try broker.makeTopic(partitions: 1)
            let shards = try broker.makeTopic(partitions: 2)
            let ownership = try ShardOwnership(
                {
                    var configuration = Self.configuration(broker, shards)
                    configuration.partitions = 2
                    return configuration
                }())
            let election = try KafkaElection(Self.configuration(broker, topic))
            let began = AsyncStream.makeStream(of: Void.self)
            let service = Task {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await ownership.run() }
                    group.addTask {
                        try await election.run { _ in
                            began.continuation.yield()
                            try await Task.sleep(for: .seconds(600))
                        }
                    }
                    try await group.waitForAll()
                }
            }
            for await _ in began.stream { break }
            try await eventually("two shards") { ownership.owned.count == 2 }
            try broker.fault("rtt", "all", "60000")
            defer { try? broker.fault("rtt", "all", "0") }
            let start = ContinuousClock.now
            service.cancel()
            try await service.value
            // A second to drain, half a session to close.
            #expect(start.duration(to: .now) < .seconds(10))
            #expect(election.leadership?.isValid != true && ownership.owned.isEmpty)
        }

        /// Member ids begin with the client's, and the assignor begins with the smallest: the oldest candidate leads.
        @Test(.enabled(if: !LiveKafka.isMock, "full: the embedded Kafka's member ids are in no order"))
        func newcomersDoNotReplaceTheLeader() async throws {
            let topic = try broker.makeTopic(partitions: 1)
            let leads = Locked<[Int]>([])
            var running: [Task<Void, any Error>] = []
            for number in 0..<4 {
                let election = try KafkaElection(Self.configuration(broker, topic))
                running.append(
                    Task {
                        try await election.run { _ in
                            leads.withLock { $0.append(number) }
                            try await Task.sleep(for: .seconds(600))
                        }
                    })
                try await eventually("candidate \(number) in line") { election.source.isInLine }
                try await eventually("a leader among \(number + 1)") { leads.withLock { $0.count } > number }
            }
            #expect(Set(leads.withLock { $0 }) == [0])
            for task in running { task.cancel() }
            for task in running { try await task.value }
        }

        @Test func aShardThatTheTopicDoesNotHaveIsRefused() throws {
            let error = #expect(throws: LockError.self) { try KafkaElection(Self.configuration(broker, "t"), shard: 1) }
            #expect(error?.code == .invalidConfiguration)
        }

        @Test func anUnknownTopicEndsTheRun() async throws {
            let election = try KafkaElection(Self.configuration(broker, try broker.nameNoTopic()))
            let error = await #expect(throws: LockError.self) { try await election.run { _ in } }
            #expect(error?.code == .incompatible)
        }
    }
}
