import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Work that begins before anything is owned.
    @Suite struct ReadyTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        @Test func workThatComesFirstWaitsForTheGroup() async throws {
            let member = try Member(broker, broker.makeTopic(partitions: 3), partitions: 3)
            let ownership = member.ownership
            // By text, by name, and for all.
            async let text = ownership.withShard(of: "a", within: .seconds(60)) { $0.isValid }
            async let name = ownership.withShard(of: LockName("b"), within: .seconds(60)) { $0.isValid }
            try await ownership.ready()
            #expect(member.owns(3))
            #expect(try await [text, name] == [true, true])
            // Once owned, nobody waits.
            try await ownership.ready(within: .zero)
            #expect(try await ownership.withShard(of: "a", within: .zero) { $0.isValid })
            await member.leave()
            for wait in waits(ownership, within: .seconds(60)) {
                let error = await #expect(throws: LockError.self) { try await wait() }
                #expect(error?.code == .shutDown)
            }
        }

        /// Another member's shard is not waited for; a member that was given none is ready, too.
        @Test func whatIsAnothersIsRefusedAtOnce() async throws {
            let topic = try broker.makeTopic(partitions: 1)
            let one = try Member(broker, topic, partitions: 1)
            let two = try Member(broker, topic, partitions: 1)
            try await eventually("one owner") { one.ownership.owned.count + two.ownership.owned.count == 1 }
            try await one.ownership.ready(within: .seconds(60))
            try await two.ownership.ready(within: .seconds(60))
            try await eventually("one owner") { one.ownership.owned.count + two.ownership.owned.count == 1 }
            let other = one.owns(1) ? two : one
            let error = await #expect(throws: LockError.self) {
                try await other.ownership.withShard(of: "any", within: .seconds(3600)) { _ in }
            }
            #expect(error?.code == .notOwner && error?.message.contains("send the work") == true)
            await one.leave()
            await two.leave()
        }

        private func waits(
            _ ownership: ShardOwnership, within limit: Duration
        ) -> [@Sendable () async throws -> Void] {
            [
                { try await ownership.ready(within: limit) },
                { try await ownership.withShard(of: "any", within: limit) { _ in } },
            ]
        }

        /// Nobody has started it, or no broker is there.
        @Test func whatIsInTheWayIsSaid() async throws {
            let idle = try ShardOwnership(.init(topic: "t", partitions: 1))
            let error = await #expect(throws: LockError.self) { try await idle.withShard(of: "any") { _ in } }
            #expect(error?.code == .notOwner && error?.message.contains("run()") == true)
            for wait in waits(idle, within: .milliseconds(10)) {
                let error = await #expect(throws: LockError.self) { try await wait() }
                #expect(error?.code == .timedOut)
                let cancelled = Task { try await wait() }
                cancelled.cancel()
                let result = await cancelled.result
                #expect { try result.get() } throws: {
                    ($0 as? LockError).map { [.cancelled, .timedOut].contains($0.code) } == true
                }
            }
        }
    }
}
