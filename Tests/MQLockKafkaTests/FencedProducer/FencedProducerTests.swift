import Foundation
import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// What a producer of fenced output does, on any broker that has transactions.
    @Suite(.serialized) struct FencedProducerTests {
        private let own: OwnKafka?
        private let broker: LiveKafka

        /// Errors are injected: not into what other tests use.
        init() throws {
            own = LiveKafka.isMock ? try OwnKafka() : nil
            broker = try own?.broker ?? LiveKafkaTests.broker()
        }

        private func producer(
            _ member: Member, timeout: Duration = .seconds(10),
            before: @escaping @Sendable (FencedProducer.Step) -> Void = { _ in }
        ) throws -> FencedProducer {
            var configuration = FencedProducer.Configuration()
            configuration.transactionTimeout = timeout
            return try FencedProducer(member.ownership, configuration, isUnfenced: false, before: before)
        }

        @Test func outputArrivesWithItsStampWhileTheShardIsOwned() async throws {
            // One that takes records without a key, as compacted ones do not.
            let output = try broker.makeTopic(partitions: 2, ["cleanup.policy": "delete"])
            let member = try Member(broker, broker.makeTopic(partitions: 2), partitions: 2) { $0.owner = "häst/1" }
            let ownership = member.ownership
            try await eventually("two shards") { member.owns(2) }
            let producer = try producer(member)
            try await producer.warmUp()

            let name: LockName = "customer-42"
            let shard = ownership.shard(of: name)
            let whole = try #require(ownership.lease(for: shard))
            // By name, under a lease of work, and for the shard as a whole.
            try await producer.transaction(for: name) { $0.send(output, key: name.string, value: "1") }
            let inside = try await ownership.withShard(of: name) { lease in
                try await producer.transaction(for: lease) { batch in
                    batch.send(
                        output, key: Array(name.utf8), value: [], headers: [RecordHeader("trace", "abc")])
                    batch.send(output, key: Array(name.utf8), value: nil)
                }
                return lease
            }
            try await producer.transaction(for: whole) { $0.send(output, partition: shard, key: nil, value: [7]) }
            // Both shards at once.
            let both = try (0...1).map { try #require(ownership.lease(for: $0)) }
            try await producer.transaction(for: both) { batch in
                for lease in both { batch.send(output, partition: shard, key: "both", value: "2", under: lease) }
            }
            // What nothing was written for.
            try await producer.transaction(for: whole) { _ in }
            struct Changed: Error {}
            await #expect(throws: Changed.self) {
                try await producer.transaction(for: whole) { batch in
                    batch.send(output, key: "no", value: "no")
                    throw Changed()
                }
            }
            let forged = await #expect(throws: LockError.self) {
                try await producer.transaction(for: whole) {
                    $0.send(output, key: [], value: [], headers: [RecordHeader("mqlock-fence", "1")])
                }
            }
            #expect(forged?.code == .invalidConfiguration)
            let released = await #expect(throws: LockError.self) {
                try await producer.transaction(for: inside) { $0.send(output, key: "no", value: "no") }
            }
            #expect(released?.code == .released)

            let records = try await OutputReader(ownership).restore(output, partitions: [0, 1], for: whole, into: []) {
                (records: inout [OutputReader.Record], record) in records.append(record)
            }
            // The key goes where its name's shard is.
            #expect(records.allSatisfy { $0.partition == shard })
            #expect(records.map(\.value) == [Array("1".utf8), [], nil, [7], Array("2".utf8), Array("2".utf8)])
            let stamps = records.map(\.stamp)
            #expect(stamps.map { $0?.name } == [name, name, name, whole.name, both[0].name, both[1].name])
            #expect(stamps.allSatisfy { $0?.owner == "häst/1" })
            #expect(try #require(stamps[0]).token > whole.fencingToken)
            #expect(stamps[1]?.token == inside.fencingToken && stamps[3]?.token == whole.fencingToken)
            #expect(records[1].headers.first == RecordHeader("trace", "abc"))

            await member.leave()
            let lost = await #expect(throws: LockError.self) {
                try await producer.transaction(for: whole) { $0.send(output, key: "no", value: "no") }
            }
            #expect(lost?.code == .lost)
            let gone = await #expect(throws: LockError.self) {
                try await producer.transaction(for: name) { $0.send(output, key: "no", value: "no") }
            }
            #expect(gone?.code == .notOwner)
            await producer.close()
        }

        /// Work that is told to end writes what it has before the shard is handed over.
        @Test func theLastOutputIsWrittenDuringTheDrain() async throws {
            let output = try broker.makeTopic(partitions: 1)
            let member = try Member(broker, broker.makeTopic(partitions: 1), partitions: 1) {
                $0.drainTimeout = .seconds(3)
            }
            try await eventually("the shard") { member.owns(1) }
            let producer = try producer(member)
            try await producer.warmUp()
            let began = AsyncStream.makeStream(of: Void.self)
            let ownership = member.ownership
            let work = Task {
                try await ownership.withShard(of: "anything") { lease in
                    began.continuation.yield()
                    for await _ in AsyncStream<Never>.makeStream().stream {}
                    #expect(Task.isCancelled)
                    try await producer.transaction(for: lease) { $0.send(output, key: "k", value: "last") }
                }
            }
            for await _ in began.stream { break }
            await member.leave()
            try await work.value
            #expect(try broker.read(output, .committed) == ["k=last"])
        }

        @Test func aLeaseOfAnotherOwnershipIsRefused() async throws {
            let ownership = try ShardOwnership(.init(connection: broker.connection, topic: "a", partitions: 1))
            let other = LeaseRecord(
                name: "n", token: try #require(FencingToken(rawValue: 1)), owner: "o",
                proof: ProofOfLife(until: .now.advanced(by: .seconds(60))))
            let error = await #expect(throws: LockError.self) {
                try await FencedProducer(ownership).transaction(for: Lease(other)) {
                    $0.send("t", key: "k", value: "v")
                }
            }
            #expect(error?.code == .invalidConfiguration)
            let none = await #expect(throws: LockError.self) {
                try await FencedProducer(ownership).transaction(for: [Lease]()) { _ in }
            }
            #expect(none?.code == .invalidConfiguration)
        }

        /// What the broker answers is what the caller is told, and the next transaction is not troubled by it.
        @Test(.enabled(if: LiveKafka.isMock, "the errors are injected into the embedded Kafka"))
        func whatTheBrokerRefusesIsReported() async throws {
            let output = try broker.makeTopic(partitions: 1)
            let member = try Member(broker, broker.makeTopic(partitions: 1), partitions: 1)
            try await eventually("the shard") { member.owns(1) }
            let producer = try producer(member, timeout: .seconds(2))
            try await producer.warmUp()
            let lease = try #require(member.ownership.lease(for: 0))
            func answer(_ request: String, _ error: String) async throws -> LockError? {
                try broker.fault("errors", request, error, "1")
                defer { try? broker.fault("errors", request, "clear") }
                do {
                    try await producer.transaction(for: lease) { $0.send(output, key: "k", value: "\(request)") }
                    return nil
                } catch let error as LockError {
                    return error
                }
            }
            func expect(_ request: String, _ error: String, _ code: LockError.Code?) async throws {
                let told = try await answer(request, error)
                #expect(told?.code == code, "\(request) \(error): \(told.map { "\($0)" } ?? "none")")
            }
            try await expect("TxnOffsetCommit", "ILLEGAL_GENERATION", .lost)
            try await expect("TxnOffsetCommit", "UNKNOWN_MEMBER_ID", .lost)
            try await expect("Produce", "MSG_SIZE_TOO_LARGE", .limitExceeded)
            try await expect("AddPartitionsToTxn", "TOPIC_AUTHORIZATION_FAILED", .accessRefused)
            try await expect("EndTxn", "INVALID_PRODUCER_EPOCH", .unreachable)
            // What passes by itself, the library tries again.
            try await expect("EndTxn", "COORDINATOR_LOAD_IN_PROGRESS", nil)
            try await producer.transaction(for: lease) { $0.send(output, key: "k", value: "good") }
            try await expectAnEndOfTheLine(member, output)
            await member.leave()
        }

        /// One is being written, one waits: a third is one too many.
        private func expectAnEndOfTheLine(_ member: Member, _ output: String) async throws {
            let (isStopped, goesOn) = (Locked(false), Locked(false))
            var configuration = FencedProducer.Configuration()
            configuration.maximumWaiting = 2
            let producer = try FencedProducer(member.ownership, configuration, isUnfenced: false) { _ in
                isStopped.withLock { $0 = true }
                while !goesOn.withLock({ $0 }) { usleep(1000) }
            }
            let lease = try #require(member.ownership.lease(for: 0))
            let write: @Sendable () async throws -> Void = {
                try await producer.transaction(for: lease) { $0.send(output, key: "k", value: "line") }
            }
            let first = Task { try await write() }
            try await eventually("the first to be written") { isStopped.withLock { $0 } }
            // Which of them is too many is open.
            let others = [Task { try await write() }, Task { try await write() }]
            let ended = Locked(0)
            for other in others {
                Task {
                    _ = await other.result
                    ended.withLock { $0 += 1 }
                }
            }
            try await eventually("a refusal") { ended.withLock { $0 } == 1 }
            goesOn.withLock { $0 = true }
            try await first.value
            var refused: [LockError.Code] = []
            for other in others {
                if case .failure(let error as LockError) = await other.result { refused.append(error.code) }
            }
            #expect(refused == [.limitExceeded])
        }

        /// A broker that falls silent before the commit is asked for, and after.
        @Test(.enabled(if: LiveKafka.isMock, "the broker is taken down"))
        func anUnansweredCommitIsSaidToBeUnknown() async throws {
            let output = try broker.makeTopic(partitions: 1)
            let member = try Member(broker, broker.makeTopic(partitions: 1), partitions: 1, session: .seconds(10))
            try await eventually("the shard") { member.owns(1) }
            let silentAt = Locked<FencedProducer.Step?>(nil)
            let broker = broker
            let producer = try producer(member, timeout: .seconds(1)) { step in
                if silentAt.withLock({ $0 == step }) { try? broker.fault("broker", "all", "down") }
            }
            try await producer.warmUp()
            let lease = try #require(member.ownership.lease(for: 0))
            for (step, code) in [(FencedProducer.Step.offsets, LockError.Code.unreachable), (.commit, .outcomeUnknown)]
            {
                silentAt.withLock { $0 = step }
                let error = await #expect(throws: LockError.self) {
                    try await producer.transaction(for: lease) { $0.send(output, key: "k", value: "\(step)") }
                }
                #expect(error?.code == code, "\(step)")
                try broker.fault("broker", "all", "up")
                silentAt.withLock { $0 = nil }
                // With a new producer, on the same lease.
                try await eventually("a transaction") {
                    do {
                        try await producer.transaction(for: lease) { $0.send(output, key: "k", value: "good") }
                        return true
                    } catch let error as LockError where error.code == .unreachable {
                        return false
                    }
                }
            }
            await member.leave()
        }
    }
}
