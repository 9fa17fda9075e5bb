import MQLock
import Testing

@testable import MQLockKafka

/// Every number that a user can give, at its limits: what makes no sense is an error, nothing traps, and nothing is
/// silently another number.
@Suite(.timeLimit(.minutes(1))) struct NumericLimitTests {
    private static let durations: [Duration] = [
        .seconds(Int64.min), .seconds(-1), .nanoseconds(-1), .zero, .nanoseconds(1), .seconds(1), .seconds(Int64.max),
    ]
    private static let numbers = [Int.min, Int(Int32.min), -1, 0, 1, Int(Int32.max), Int(Int32.max) + 1, .max]

    private static func configuration(
        _ change: (inout ShardOwnership.Configuration) -> Void = { _ in }
    )
        -> ShardOwnership.Configuration
    {
        var configuration = ShardOwnership.Configuration(topic: "t", partitions: 2)
        change(&configuration)
        return configuration
    }

    /// Whether `make` takes it; anything but an error for a configuration is a failure.
    private func takes<Value>(_ make: () throws -> Value) -> Bool {
        do {
            _ = try make()
            return true
        } catch {
            #expect((error as? LockError)?.code == .invalidConfiguration, "\(error)")
            return false
        }
    }

    @Test(arguments: numbers) func countsOfPartitions(_ number: Int) {
        let configuration = Self.configuration { $0.partitions = number }
        #expect(takes { try ShardOwnership(configuration) } == (1...100_000).contains(number))
        #expect(takes { try KafkaElection(configuration) } == (1...100_000).contains(number))
        #expect(takes { try KafkaElection("name", configuration) } == (1...100_000).contains(number))
        // The number of a shard.
        #expect(takes { try KafkaElection(Self.configuration(), shard: number) } == (0..<2).contains(number))
    }

    @Test(arguments: durations) func configuredDurations(_ duration: Duration) throws {
        #expect(takes { try ShardOwnership(Self.configuration { $0.session = duration }) } == (duration == .seconds(1)))
        let drain = Self.configuration { $0.drainTimeout = duration }
        #expect(takes { try ShardOwnership(drain) } == (duration >= .zero))
        if let settings = try? OwnershipSettings(drain) {
            #expect(settings.timing.drain == min(duration, drain.session))
        }
        let lead = Self.configuration { $0.toleratedLead = duration }
        #expect(takes { try ShardOwnership(lead) } == (.zero ... .seconds(1)).contains(duration))
        let backoff = Self.configuration { $0.backoff = duration...max(duration, .seconds(1)) }
        #expect(takes { try ShardOwnership(backoff) } == (duration > .zero))
        let ownership = try ShardOwnership(Self.configuration())
        var output = FencedProducer.Configuration()
        output.transactionTimeout = duration
        #expect(takes { try FencedProducer(ownership, output) } == (duration == .seconds(1)))
    }

    @Test(arguments: durations) func durationsOfLocks(_ duration: Duration) {
        func isTaken(_ change: (inout KafkaLocks.Configuration) -> Void) -> Bool {
            var configuration = KafkaLocks.Configuration(topic: "t")
            change(&configuration)
            // The inspector has the same settings, and makes no client.
            return takes { try KafkaLockInspector(configuration) }
        }
        #expect(isTaken { $0.ttl = duration } == (duration == .seconds(1)))
        #expect(isTaken { $0.margin = duration } == (.zero ... .seconds(1)).contains(duration))
        #expect(isTaken { $0.startupTimeout = duration } == (duration > .zero))
        #expect(isTaken { $0.requestTimeout = duration } == (duration > .zero))
        #expect(isTaken { $0.drainTimeout = duration } == (duration >= .zero))
        #expect(isTaken { $0.backoff = duration...max(duration, .seconds(1)) } == (duration > .zero))
    }

    @Test(arguments: numbers) func partitionsOfLocks(_ number: Int) {
        var configuration = KafkaLocks.Configuration(topic: "t")
        configuration.partitions = number
        #expect(takes { try KafkaLockInspector(configuration) } == (1...100_000).contains(number))
    }

    @Test(arguments: numbers) func numbersOfShardsAndTransactions(_ number: Int) async throws {
        let (ownership, hold) = try owned()
        var output = FencedProducer.Configuration()
        output.maximumWaiting = number
        #expect(takes { try FencedProducer(ownership, output) } == (number >= 1))
        #expect((ownership.lease(for: number) != nil) == (number == 0))
        if number != 0 {
            let error = await #expect(throws: LockError.self) { try await ownership.withShard(number) { _ in } }
            #expect(error?.code == .notOwner)
        }
        // Whoever does not have to wait is not kept from it by a limit.
        let locks = ShardLocks(ownership, maximumWaiters: number)
        let name = try #require(try (0..<100).map { try LockName("n\($0)") }.first { ownership.shard(of: $0) == 0 })
        let first = try await locks.acquire(name)
        if number <= 0 {
            let error = await #expect(throws: LockError.self) { try await locks.withLock(name) { _ in } }
            #expect(error?.code == .limitExceeded)
        }
        try await first.release()
        #expect(hold.workCount == 0)
    }

    @Test(arguments: numbers) func partitionsAndOffsetsOfOutput(_ number: Int) async throws {
        let (ownership, _) = try owned()
        let lease = try #require(ownership.lease(for: 0))
        var batch = OutputBatch([lease])
        batch.send("output", partition: number, key: "k", value: "v")
        #expect((batch.failure == nil) == (0...Int(Int32.max)).contains(number))
        if batch.failure == nil { #expect(batch.records.map(\.partition) == [Int32(number)]) }
        // A later record does not make up for it.
        batch.send("output", key: "k", value: "v")
        #expect((batch.failure == nil) == (0...Int(Int32.max)).contains(number))
        for (offset, partition) in [(number, 0), (0, number)] {
            var batch = OutputBatch([lease])
            batch.commit(offset: Int64(offset), of: "input", partition: partition)
            #expect((batch.failure == nil) == (offset >= 0 && (0...Int(Int32.max)).contains(partition)))
        }
        guard number < 0 else { return }
        // Nothing of it is sent, and the reader asks nobody.
        let output = try FencedProducer(ownership)
        let refused = await #expect(throws: LockError.self) {
            try await output.transaction(for: lease) { $0.send("output", partition: number, key: "k", value: "v") }
        }
        #expect(refused?.code == .invalidConfiguration)
        let reader = OutputReader(ownership)
        for (partition, start) in [(number, 0), (0, number)] {
            let error = await #expect(throws: LockError.self) {
                try await reader.restore(
                    "output", partitions: [partition], for: lease, from: [partition: Int64(start)], into: 0
                ) { _, _ in }
            }
            #expect(error?.code == .invalidConfiguration)
        }
    }

    /// Nobody answers at an address that is nobody's (RFC 5737); waits that are longer than any life are cancelled.
    @Test(arguments: durations) func limitsOfWaits(_ limit: Duration) async throws {
        let ownership = try ShardOwnership(Self.configuration())
        let inspector = KafkaInspector(.init(brokers: ["192.0.2.1:9092"]))
        let locks = ShardLocks(ownership)
        let waits: [@Sendable () async throws -> Void] = [
            { _ = try await inspector.partitionCount(of: "t", within: limit) },
            { try await locks.withLock("name", within: limit) { _ in } },
            { try await ownership.ready(within: limit) },
            { try await ownership.withShard(of: "name", within: limit) { _ in } },
        ]
        for wait in waits {
            let isShort = limit <= .seconds(1)
            let task = Task { try await wait() }
            if !isShort {
                try await Task.sleep(for: .milliseconds(50))
                task.cancel()
            }
            let error = await #expect(throws: LockError.self) { try await task.value }
            let code = error?.code
            #expect(isShort ? code == .unreachable || code == .timedOut : code == .cancelled)
        }
    }

    private func owned() throws -> (ShardOwnership, ShardHold) {
        let ownership = try ShardOwnership(Self.configuration())
        let proof = ProofOfLife(until: .now.advanced(by: .seconds(600)))
        let hold = try #require(ShardHold(0, .init(number: 1 << 40, offset: 0), owner: "test", proof: proof))
        ownership.board.set(hold)
        return (ownership, hold)
    }
}
