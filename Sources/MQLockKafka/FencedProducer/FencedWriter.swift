import Dispatch
import Foundation
import MQLock
import Synchronization

/// Writes the transactions of a ``FencedProducer`` one after the other, on a thread of its own: every call of the
/// library's here blocks.
final class FencedWriter: @unchecked Sendable {
    struct Settings: Sendable {
        var connection: KafkaConnection
        /// The lock topic, where the first, empty transaction is written.
        var topic: String
        var transactionTimeout: Duration
        var maximumWaiting: Int
        /// For each question to the broker that is no part of a transaction.
        var requestTimeout: Duration = .seconds(5)
        /// A test switch: a defect to be found.
        var isUnfenced = false
        var log: @Sendable (LogLine) -> Void = { _ in }
    }

    /// One transaction.
    struct Order: Sendable {
        /// At least one, all of this ownership.
        var leases: [LeaseRecord]
        var fences: [ShardFence]
        var records: [ProducedRecord]
    }

    private let settings: Settings
    private let before: @Sendable (FencedProducer.Step) -> Void
    private let queue = DispatchQueue(label: "mqlock.kafka.output")
    private let waiting = Atomic(0)
    // Used on the queue only.
    private var producer: TransactionalProducer?

    init(_ settings: Settings, before: @escaping @Sendable (FencedProducer.Step) -> Void) {
        (self.settings, self.before) = (settings, before)
    }

    /// Makes the client and a first, empty transaction: that takes librdkafka 2.0.2 about a second.
    func warmUp() async -> LockError? {
        await enqueue { [self] in
            guard producer == nil else { return nil }
            do {
                let producer = try readyProducer()
                try producer.begin()
                try producer.produce(
                    .init(
                        topic: settings.topic, partition: 0, key: Array("\(ClaimRecord.version)/warm-up".utf8),
                        value: []))
                try producer.commit(within: settings.transactionTimeout)
                return nil
            } catch let failure as KafkaFailure {
                producer = nil
                return LockError(failure, while: "the first transaction")
            } catch {
                return error as? LockError
            }
        }
    }

    /// Writes one transaction; nil when it is committed. Not cut short by cancellation: its time is bounded.
    func write(_ order: Order) async -> LockError? {
        guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= settings.maximumWaiting else {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            return LockError(
                .limitExceeded,
                """
                \(settings.maximumWaiting) transactions wait already; put more records into each, or raise \
                maximumWaiting
                """)
        }
        return await enqueue { [self] in
            defer { waiting.wrappingSubtract(1, ordering: .relaxed) }
            return perform(order)
        }
    }

    /// Lets the client go; what is under way ends first.
    func close() async {
        _ = await enqueue { [self] in
            producer = nil
            return nil
        }
    }

    private func enqueue(_ body: @escaping @Sendable () -> LockError?) async -> LockError? {
        await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: body()) }
        }
    }

    // MARK: On the queue

    private func perform(_ order: Order) -> LockError? {
        // The line may have been long.
        for lease in order.leases {
            do throws(LockError) { try lease.check(atLeast: .zero) } catch { return error }
        }
        do {
            try transact(order)
            return nil
        } catch let failed as TransactionFailure {
            let lease = order.leases.first { !$0.isValid } ?? order.leases[0]
            let lost: LossReason? = if case .lost(let reason) = lease.state { reason } else { nil }
            return failed.error(name: lease.name, lost: lost)
        } catch {
            return error as? LockError ?? LockError(.internalError, "writing output failed", underlying: error)
        }
    }

    private func transact(_ order: Order) throws {
        var step = TransactionFailure.Step.starting
        var used: TransactionalProducer?
        do {
            let producer = try readyProducer()
            used = producer
            let deadline = ContinuousClock.now.advanced(by: settings.transactionTimeout)
            var left: Duration { ContinuousClock.now.duration(to: deadline) }
            try producer.begin()
            step = .writing
            for record in order.records { try producer.produce(record) }
            before(.offsets)
            if !settings.isUnfenced { try sendOffsets(order.fences, producer, within: left) }
            // So that an answer that does not come to the commit leaves nothing open but the commit itself.
            try producer.flush(within: left)
            before(.commit)
            step = .committing
            try producer.commit(within: settings.transactionTimeout)
        } catch let failure as KafkaFailure {
            var failed = TransactionFailure(step: step, failure: failure)
            if TransactionFailure.wantsAbort(step, failure), let used {
                do {
                    try used.abort(within: settings.requestTimeout)
                    failed.abort = .done
                } catch {
                    failed.abort = .failed
                }
            }
            if !failed.canGoOn { replaceProducer() }
            throw failed
        }
    }

    /// The broker refuses them when the membership is stale, and with them the whole transaction; and until it is decided,
    /// the next owner of the shards waits with its claim.
    private func sendOffsets(
        _ fences: [ShardFence], _ producer: TransactionalProducer, within limit: Duration
    ) throws(KafkaFailure) {
        guard let first = fences.first else { return }
        let offsets = Dictionary(fences.map { ($0.shard, $0.offset) }, uniquingKeysWith: { $1 })
        try producer.send(TopicPartitions(first.topic, offsets: offsets), first.metadata, within: limit)
    }

    /// A transactional id is for one client of one start of one process: another with the same would fence it.
    private func readyProducer() throws -> TransactionalProducer {
        if let producer { return producer }
        let id = "mqlock/\(settings.topic)/\(UUID().uuidString)/output"
        let new = try TransactionalProducer(
            settings.connection, id: id, timeout: settings.transactionTimeout, log: settings.log)
        try new.start(within: settings.requestTimeout)
        producer = new
        return new
    }

    /// What the old one left open, the broker aborts by the transaction's time-out.
    private func replaceProducer() { producer = nil }
}
