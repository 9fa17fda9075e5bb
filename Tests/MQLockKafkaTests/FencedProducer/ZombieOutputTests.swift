import Foundation
import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// Former owners that do not know yet that they are: what they write is never committed after their successor's claim.
    @Suite(.serialized, .disabled(if: LiveKafka.isMock, "kafka: the mock fences nobody"))
    struct ZombieOutputTests {
        private static let session = LiveKafka.session(.seconds(2))
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        /// An owner is stopped within its transaction past its session, its successor claims and writes, and it goes on.
        /// - Returns: what the zombie says, and what read-committed readers see in the end.
        private func playZombie(
            stoppedBefore step: String, timeout: Duration, isFenced: Bool = true
        ) async throws -> (verdict: String, visible: [String]) {
            let topic = try broker.makeTopic(partitions: 1)
            let output = try broker.makeTopic(partitions: 1)
            let zombie = try FencedProcess(
                broker, topic: topic, session: Self.session, transaction: timeout, output: output, stopsBefore: step,
                isFenced: isFenced)
            let before = try await zombie.stopped()
            #expect(try broker.read(output, .uncommitted) == ["k=zombie"])

            let successor = try Member(broker, topic, partitions: 1, session: Self.session)
            let stopped = ContinuousClock.now
            try await eventually("the successor") { successor.owns(1) }
            print("stopped before \(step): its successor owned after \(stopped.duration(to: .now).readable)")
            let lease = try #require(successor.ownership.lease(for: 0))
            // However far the zombie had come, no number is given twice.
            #expect(lease.fencingToken > before)
            let producer = try FencedProducer(successor.ownership)
            try await producer.transaction(for: lease) { $0.send(output, key: "k", value: "successor") }

            let verdict = try await zombie.goOn()
            let visible = try broker.read(output, .committed)
            print("stopped before \(step), \(isFenced ? "fenced" : "unfenced"): \(verdict); visible: \(visible)")
            await successor.leave()
            return (verdict, visible)
        }

        /// Offsets not sent yet: the broker refuses them by the membership, long before any time-out.
        @Test func outputWhoseOffsetsComeTooLateIsRefused() async throws {
            let (verdict, visible) = try await playZombie(stoppedBefore: "offsets", timeout: .seconds(30))
            #expect(verdict == "refused lost false")
            #expect(visible == ["k=successor"])
        }

        /// All sent but the commit: the successor's claim has waited for the transaction's end.
        @Test func anOpenTransactionIsOverBeforeTheSuccessorOwns() async throws {
            let (verdict, visible) = try await playZombie(stoppedBefore: "commit", timeout: .seconds(4))
            #expect(verdict == "refused lost false")
            #expect(visible == ["k=successor"])
        }

        /// That these tests can fail: without the offsets the zombie's output follows its successor's.
        @Test func withoutTheOffsetsAZombieGetsThrough() async throws {
            let (verdict, visible) = try await playZombie(
                stoppedBefore: "commit", timeout: .seconds(30), isFenced: false)
            #expect(verdict == "committed")
            #expect(visible == ["k=zombie", "k=successor"] || visible == ["k=successor", "k=zombie"])
        }

        /// In one process, without anything being stopped: the group goes on while a transaction is being written.
        @Test func outputOfAnEarlierGenerationIsRefused() async throws {
            let topic = try broker.makeTopic(partitions: 1)
            let output = try broker.makeTopic(partitions: 1)
            let one = try Member(broker, topic, partitions: 1, session: Self.session)
            try await eventually("the shard") { one.owns(1) }
            let first = try #require(one.ownership.lease(for: 0))
            let (isWriting, goOn) = (Locked(false), Locked(false))
            let producer = try FencedProducer(one.ownership, .init(), isUnfenced: false) { step in
                guard step == .offsets, !goOn.withLock({ $0 }) else { return }
                isWriting.withLock { $0 = true }
                while !goOn.withLock({ $0 }) { usleep(1000) }
            }
            let writing = Task {
                try await producer.transaction(for: first) { $0.send(output, key: "k", value: "old") }
            }
            try await eventually("the transaction") { isWriting.withLock { $0 } }
            // Comes and goes: whoever owns the shard now does so by another claim.
            let two = try Member(broker, topic, partitions: 1, session: Self.session)
            try await eventually("a new claim") {
                [one, two].contains { member in
                    member.ownership.lease(for: 0).map { $0.fencingToken > first.fencingToken } ?? false
                }
            }
            goOn.withLock { $0 = true }
            let error = await #expect(throws: LockError.self) { try await writing.value }
            #expect(error?.code == .lost)
            await two.leave()
            try await eventually("the shard again") { one.owns(1) }
            let again = try #require(one.ownership.lease(for: 0))
            // The same producer, the same process, a new membership.
            try await producer.transaction(for: again) { $0.send(output, key: "k", value: "new") }
            #expect(try broker.read(output, .committed) == ["k=new"])
            await one.leave()
        }
    }

    /// What a new owner reads back.
    @Suite(.serialized, .disabled(if: LiveKafka.isMock, "kafka: the mock knows no read_committed"))
    struct OutputReaderTests {
        private let broker: LiveKafka

        init() throws { broker = try LiveKafkaTests.broker() }

        /// What was accepted before the claim may become visible after it: it is waited for.
        @Test func openTransactionsAreWaitedFor() async throws {
            let output = try broker.makeTopic(partitions: 1)
            let member = try Member(broker, broker.makeTopic(partitions: 1), partitions: 1)
            try await eventually("the shard") { member.owns(1) }
            let lease = try #require(member.ownership.lease(for: 0))
            func producer(_ name: String) throws -> TransactionalProducer {
                let new = try TransactionalProducer(broker.connection, id: "\(output)/\(name)", timeout: .seconds(20))
                _ = try ClusterMetadata.partitionCount(of: output, new.handle, within: .seconds(5))
                try new.start(within: .seconds(10))
                try new.begin()
                try new.produce(
                    .init(topic: output, partition: 0, key: Array("k".utf8), value: Array(name.utf8)))
                try new.flush(within: .seconds(5))
                return new
            }
            let (open, aborted, done) = (try producer("open"), try producer("aborted"), try producer("done"))
            try done.commit(within: .seconds(5))
            try aborted.abort(within: .seconds(5))
            // Where a reader would stop that is not kept waiting: before everything.
            let stable = try LogReader(broker.connection, group: output, .committed)
            #expect(try stable.bounds(output, 0, within: .seconds(5)) == 0..<0)

            let reader = OutputReader(member.ownership)
            let isRead = Locked(false)
            let reading = Task {
                let values = try await reader.restore(output, partitions: [0], for: lease, into: []) {
                    (values: inout [String], record) in
                    values.append(String(decoding: record.value ?? [], as: UTF8.self))
                }
                isRead.withLock { $0 = true }
                return values
            }
            let tooSoon = await #expect(throws: LockError.self) {
                _ = try await OutputReader(member.ownership).restore(
                    output, partitions: [0], for: lease, within: .milliseconds(700), into: 0
                ) { count, _ in count += 1 }
            }
            #expect(tooSoon?.code == .timedOut)
            #expect(!isRead.withLock { $0 })
            try open.commit(within: .seconds(5))
            #expect(try await reading.value == ["open", "done"])

            struct Enough: Error {}
            await #expect(throws: Enough.self) {
                _ = try await reader.restore(output, partitions: [0], for: lease, into: 0) { _, _ in throw Enough() }
            }
            // From where we were: nothing new.
            let more = try await reader.restore(output, partitions: [0], for: lease, from: [0: 1_000_000], into: 0) {
                count, _ in count += 1
            }
            #expect(more == 0)
            await member.leave()
            await #expect(throws: LockError.self) {
                _ = try await reader.restore(output, partitions: [0], for: lease, into: 0) { _, _ in }
            }
        }
    }
}
