import Foundation
import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Prints how long things take, twelve shards and a session of 6 s, beside BROKER-FACTS.md, section 3. Run it alone.
    @Suite(
        .serialized,
        .enabled(
            if: ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1", "full: it measures, for a minute or two"
        ))
    struct FigureTests {
        private static let partitions = 12
        private static let session = Duration.seconds(6)
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        private func member(_ topic: String) throws -> Member {
            try Member(broker, topic, partitions: Self.partitions, session: Self.session)
        }

        private func milliseconds(_ what: String, _ body: () async throws -> Void) async throws -> Double {
            let start = ContinuousClock.now
            try await body()
            return Double(start.duration(to: .now).nanoseconds) / 1e6
        }

        private func row(_ what: String, _ values: [Double], unit: String = "ms") {
            let sorted = values.sorted()
            guard let first = sorted.first, let last = sorted.last else { return }
            let shown = [first, sorted[sorted.count / 2], last].map { String(format: "%.1f", $0) }
            print("\(what): least \(shown[0]), median \(shown[1]), most \(shown[2]) \(unit), n=\(values.count)")
        }

        @Test func joinsAndHandOvers() async throws {
            let rounds = LiveKafka.isMock ? 2 : 10
            var (lone, second, graceful): ([Double], [Double], [Double]) = ([], [], [])
            for _ in 0..<rounds {
                let topic = try broker.makeTopic(partitions: Self.partitions)
                var members: [Member] = []
                lone.append(
                    try await milliseconds("lone join") {
                        members.append(try member(topic))
                        try await eventually("all shards") { members[0].owns(12) }
                    })
                second.append(
                    try await milliseconds("second join") {
                        members.append(try member(topic))
                        try await eventually("half the shards each") { members[0].owns(6) && members[1].owns(6) }
                    })
                graceful.append(
                    try await milliseconds("graceful") {
                        await members[1].leave()
                        try await eventually("all shards again") { members[0].owns(12) }
                    })
                await members[0].leave()
            }
            row("lone join until all are owned", lone)
            row("second join until all are owned", second)
            row("graceful leave until all are owned", graceful)
        }

        @Test func aKill() async throws {
            var values: [Double] = []
            for _ in 0..<(LiveKafka.isMock ? 1 : 3) {
                let stage = try MemberStage("a kill", broker, partitions: Self.partitions, session: 6000)
                let (one, two) = (try stage.start("one"), try stage.start("two"))
                try await stage.phase("two joins", ["one": 6, "two": 6])
                values.append(
                    try await milliseconds("SIGKILL") {
                        stage.signal(SIGKILL, two)
                        try await stage.phase("SIGKILL", ["one": 12])
                    })
                one.leave()
                try await stage.phase("leave", [:])
            }
            row("SIGKILL until all are owned", values)
        }

        /// Steps 1 to 3 alone, of one shard and of twelve; the first one has to warm the clients up.
        @Test func claims() async throws {
            let topic = try broker.makeTopic(partitions: Self.partitions)
            let (consumer, metadata) = try await offPool { try join(topic) }
            let worker = ClaimWorker(
                .init(
                    connection: broker.connection, topic: topic, group: topic, partitions: Self.partitions,
                    owner: "test"), log: { _ in })
            for count in [1, 12] {
                var values: [Double] = []
                for _ in 0..<20 {
                    values.append(
                        try await milliseconds("claim") {
                            let outcome = await worker.claim(Array(0..<Int32(count)), metadata)
                            guard case .committed = outcome else { throw LockError(.internalError, "\(outcome)") }
                        })
                }
                row("the first claim", [values[0]])
                row("claim of \(count) shards", Array(values.dropFirst()))
            }
            worker.close()
            try await offPool { try consumer.unassign() }
        }

        /// In the test's own build; `ShardWorker owns` measures it in any.
        @Test func looks() async throws {
            let member = try member(try broker.makeTopic(partitions: Self.partitions))
            try await eventually("all shards") { member.owns(12) }
            let count = 100_000
            let name: LockName = "customer-42"
            let cost = try await milliseconds("looks") {
                for _ in 0..<count where !member.ownership.owns(name) { Issue.record("not owned") }
            }
            row("owns, in this build", [cost * 1e6 / Double(count)], unit: "ns")
            await member.leave()
        }

        private func join(_ topic: String) throws -> (GroupConsumer, GroupMetadata) {
            try GroupConsumer.joined(
                broker, topic, [("session.timeout.ms", "60000"), ("max.poll.interval.ms", "300000")])
        }
    }
}
