import MQLock
import Synchronization

/// Writes the transactions of a ``FencedProducer`` one after the other, on a thread of its own: every library call here
/// blocks.
final class FencedWriter: @unchecked Sendable {
    struct Settings: Sendable {
        var connection: KafkaConnection
        /// The lock topic, to which the first, empty transaction is written.
        var topic: String
        var transactionTimeout: Duration
        var maximumWaiting: Int
        var partitioner = Partitioner.murmur2
        /// The limit for each question to the broker outside of a transaction.
        var requestTimeout: Duration = .seconds(5)
        /// A test switch: a defect to find.
        var isUnfenced = false
        var log: @Sendable (LogLine) -> Void = { _ in }
    }

    /// One transaction.
    struct Order: Sendable {
        /// At least one, all of this ownership.
        var leases: [LeaseRecord]
        var fences: [ShardFence]
        var records: [ProducedRecord]
        /// The group's committed offsets, by topic and partition; each in a partition of a fence.
        var offsets: [String: [Int32: Int64]] = [:]
    }

    private let settings: Settings
    private let before: @Sendable (FencedProducer.Step) -> Void
    private let queue = BlockingQueue("output")
    private let waiting = Atomic(0)
    // Used on the queue only.
    private var producer: OnDemand<TransactionalProducer, any Error>

    init(_ settings: Settings, before: @escaping @Sendable (FencedProducer.Step) -> Void) {
        (self.settings, self.before) = (settings, before)
        producer = OnDemand {
            try .ready(
                settings.connection, topic: settings.topic, purpose: "output", timeout: settings.transactionTimeout,
                within: settings.requestTimeout, partitioner: settings.partitioner, log: settings.log)
        }
    }

    /// Creates the client and a first transaction without output.
    /// - Parameter fence: of an owned shard, so that the group's coordinator is found too.
    func warmUp(_ fence: ShardFence?) async throws(LockError) {
        try await queue.run { [self] _ throws(LockError) in
            do {
                do {
                    try transact([.warmUp(settings.topic)], fence.map { [$0] } ?? [])
                } catch let failed as TransactionFailure where failed.failure.code.isStaleMembership {
                    // The shard has gone meanwhile.
                    try transact([.warmUp(settings.topic)], [])
                }
            } catch let failed as TransactionFailure {
                throw LockError(failed.failure, while: "the first transaction")
            } catch {
                throw Self.unexpected(error)
            }
        }
    }

    /// Writes one transaction; returns when it is committed. Cancellation does not cut it short: its time is bounded.
    func write(_ order: Order) async throws(LockError) {
        guard waiting.wrappingAdd(1, ordering: .relaxed).newValue <= settings.maximumWaiting else {
            waiting.wrappingSubtract(1, ordering: .relaxed)
            throw LockError(
                .limitExceeded,
                """
                \(settings.maximumWaiting) transactions wait already; put more records into each, or raise \
                maximumWaiting
                """)
        }
        try await queue.run { [self] _ throws(LockError) in
            defer { waiting.wrappingSubtract(1, ordering: .relaxed) }
            try perform(order)
        }
    }

    /// Closes the client; pending work ends first.
    func close() async {
        await queue.run { [self] _ in producer.drop() }
    }

    // MARK: On the queue

    private func perform(_ order: Order) throws(LockError) {
        // The wait in line may have been long.
        for lease in order.leases { try lease.check(atLeast: .zero) }
        do {
            try transact(order.records, order.fences, order.offsets)
        } catch let failed as TransactionFailure {
            let lease = order.leases.first { !$0.isValid } ?? order.leases[0]
            let lost: LossReason? = if case .lost(let reason) = lease.state { reason } else { nil }
            throw failed.error(name: lease.name, lost: lost)
        } catch {
            throw Self.unexpected(error)
        }
    }

    private static func unexpected(_ error: any Error) -> LockError {
        error as? LockError ?? LockError(.internalError, "writing output failed", underlying: error)
    }

    private func transact(
        _ records: [ProducedRecord], _ fences: [ShardFence], _ offsets: [String: [Int32: Int64]] = [:]
    ) throws {
        var step = TransactionFailure.Step.starting
        var used: TransactionalProducer?
        do {
            let producer = try producer.ready()
            used = producer
            try learnTopics(of: records, producer)
            let deadline = ContinuousClock.now.after(settings.transactionTimeout)
            var left: Duration { ContinuousClock.now.duration(to: deadline) }
            try producer.begin()
            step = .writing
            before(.records)
            for record in records { try producer.produce(record) }
            before(.offsets)
            if !settings.isUnfenced { try sendOffsets(fences, offsets, producer, within: left) }
            // So that a commit without an answer leaves nothing open but the commit itself.
            try producer.flush(within: left)
            if let fatal = producer.fatalError { throw fatal }
            before(.commit)
            step = .committing
            try commit(producer)
        } catch let failure as KafkaFailure {
            var failed = TransactionFailure(step: step, failure: failure)
            if step == .writing, failure.code.isWrongState, let first = used?.failureOfTransaction() {
                failed.failure = first
            }
            if TransactionFailure.wantsAbort(step, failure), let used {
                do {
                    try used.abort(within: min(settings.transactionTimeout, settings.requestTimeout))
                    failed.abort = .done
                } catch {
                    failed.abort = .failed
                }
            }
            // Also after an abort: librdkafka 2.0.2 was seen to skip sequence numbers afterwards.
            if used != nil { producer.drop() }
            throw failed
        }
    }

    /// Asks once more after a time-out: a process that was stopped meanwhile finds its time over, and an answer
    /// waiting.
    private func commit(_ producer: TransactionalProducer) throws(KafkaFailure) {
        do {
            try producer.commit(within: settings.transactionTimeout)
        } catch {
            guard error.code.isTimeOut, !error.needsAbort, !error.isFatal else { throw error }
            try producer.commit(within: min(settings.transactionTimeout, settings.requestTimeout))
        }
    }

    private func learnTopics(of records: [ProducedRecord], _ producer: TransactionalProducer) throws {
        for topic in Set(records.map(\.topic)) where try !producer.learn(topic, within: settings.requestTimeout) {
            throw LockError(
                .incompatible, "there is no topic \(topic.escapedForDisplay) to write to; nothing was committed")
        }
    }

    /// The broker refuses them when the membership is stale, and with them the whole transaction. Until it has decided,
    /// the next owner of the shards waits with its claim.
    private func sendOffsets(
        _ fences: [ShardFence], _ offsets: [String: [Int32: Int64]], _ producer: TransactionalProducer,
        within limit: Duration
    ) throws(KafkaFailure) {
        guard let first = fences.first else { return }
        let own = Dictionary(fences.map { ($0.shard, $0.offset) }, uniquingKeysWith: { $1 })
        let others = offsets.map { TopicPartitions($0.key, offsets: $0.value) }
        try producer.send([TopicPartitions(first.topic, offsets: own)] + others, first.metadata, within: limit)
    }
}
