import MQLock
import MQLockKafka
import Testing

/// Every entry point that takes a name takes text that is made at run time, and refuses what is no name. Nothing here needs
/// a broker: an ownership that does not run owns nothing.
@Suite(.timeLimit(.minutes(1))) struct NamesFromTextTests {
    private let configuration = ShardOwnership.Configuration(topic: "text", partitions: 12)

    @Test func shards() async throws {
        let ownership = try ShardOwnership(configuration)
        let id = 42
        #expect(try ownership.shard(of: "customer/\(id)") == ownership.shard(of: "customer/42"))
        #expect(try !ownership.owns("customer/\(id)"))
        #expect(try await ownership.lastKnownOwner(of: "customer/\(id)") == nil)
        let error = await #expect(throws: LockError.self) {
            try await ownership.withShard(of: "customer/\(id)") { _ in }
        }
        #expect(error?.code == .notOwner)
        #expect(try KafkaElection("customer/\(id)", configuration).name == "customer/42")
    }

    @Test(arguments: ["", String(repeating: "n", count: 201)]) func whatIsNoNameIsRefusedEverywhere(
        _ text: String
    ) async throws {
        let ownership = try ShardOwnership(configuration)
        let configuration = configuration
        let calls: [@Sendable () async throws -> Void] = [
            { _ = try ownership.shard(of: text) }, { _ = try ownership.owns(text) },
            { _ = try await ownership.lastKnownOwner(of: text) }, { try await ownership.withShard(of: text) { _ in } },
            { _ = try KafkaElection(text, configuration) }, { _ = try await ShardLocks(ownership).tryAcquire(text) },
        ]
        for call in calls {
            let error = await #expect(throws: LockError.self) { try await call() }
            #expect(error?.code == .invalidName)
        }
    }
}
