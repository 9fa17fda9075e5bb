import Foundation
import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// A service with its own topic and its own group, in processes that are killed, stopped and started.
    @Suite(.serialized) struct BillingTests {
        private static let orders =
            LiveKafka.isMock && ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] != "1" ? 2000 : 10_000
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        /// Each order is billed exactly once, and the group's offsets stand at the end.
        @Test(
            .disabled(
                if: LiveKafka.isMock,
                "kafka: the mock drops the offsets of transactions and fences nobody; set MQLOCK_KAFKA"),
            arguments: Partitioner.all)
        func eachOrderIsBilledOnce(_ partitioner: Partitioner) async throws {
            let session = LiveKafka.session(.seconds(3))
            let stage = try await play(partitioner, session) { stage, members in
                let stopped = members[1]
                try await eventually("a third of the bills", within: .seconds(240)) {
                    try stage.readBills()
                    return stage.billed.count >= Self.orders / 3
                }
                stopped.signal(SIGSTOP)
                // Past its session: others have its shards by then.
                try await Task.sleep(for: session * 2)
                stopped.signal(SIGCONT)
            }
            let twice = stage.billed.filter { $0.value != 1 }
            #expect(twice.isEmpty, "\(twice)")
            let progress = try await offPool { try stage.progress() }
            #expect(progress.values.allSatisfy { $0.committed == $0.end }, "\(progress)")
        }

        /// What a mock can show: nothing is left out, and the bills of a shard follow each other as its owners did. It drops
        /// the offsets of transactions, so that each owner begins at the beginning, and it fences nobody, so that none is
        /// stopped: that each order is billed once, and only once, is shown by a broker that does both.
        @Test(.enabled(if: LiveKafka.isMock, "kafka: a broker that fences shows more"))
        func nothingIsLeftOutAndOwnersFollowEachOther() async throws {
            let stage = try await play(.consistentRandom, .seconds(3)) { _, _ in }
            for tokens in stage.tokens.values {
                #expect(zip(tokens, tokens.dropFirst()).allSatisfy { $0 <= $1 })
            }
        }

        /// Two members; one is killed, another one joins, and whatever `disturb` does.
        private func play(
            _ partitioner: Partitioner, _ session: Duration,
            disturb: @Sendable (OrderStage, [ShardProcess]) async throws -> Void
        ) async throws -> OrderStage {
            let stage = try await offPool { try OrderStage(broker, partitions: 6, partitioner) }
            try await offPool { try stage.write(0..<Self.orders) }
            var members = try (0..<2).map { _ in try stage.start(session: session) }
            func billed(_ count: Int) async throws {
                try await eventually("\(count) bills, of which there are \(stage.billed.count)", within: .seconds(240))
                {
                    try await offPool { try stage.readBills() }
                    return stage.billed.count >= count
                }
            }
            try await billed(Self.orders / 10)
            members[0].signal(SIGKILL)
            members.append(try stage.start(session: session))
            try await disturb(stage, members)
            try await billed(Self.orders)
            // Whatever comes now comes twice.
            for member in members { member.leave() }
            try await Task.sleep(for: .seconds(1))
            try await offPool { try stage.readBills() }
            return stage
        }
    }
}
