public import MQLock

/// Writes the output of a shard's owner. The cluster itself refuses the output of a former owner.
///
/// Each call is one transaction. Besides the records it sends, for each of its shards, the group offset that the
/// owner's own claim wrote, with the membership of that claim. The broker refuses that offset, and with it all records,
/// once another member has been assigned the shard. The next owner claims the shard only when no such transaction is
/// open any more. So nothing of a former owner's is committed after its successor's claim, whatever it believes. See
/// <doc:FencedOutput>.
///
/// ```swift
/// let output = try FencedProducer(ownership)
/// try await ownership.withShard(of: "customer-42") { lease in
///     let total = try await price(order)
///     try await output.transaction(for: lease) { batch in
///         batch.send("invoices", key: "customer-42", value: total)
///         batch.send("audit", key: order.id, value: "invoiced")
///     }
/// }
/// ```
///
/// Transactions of one producer run one after the other, in the order of the calls. Each costs the brokers some
/// milliseconds, so put records that belong together into one.
public final class FencedProducer: Sendable {
    /// How to write.
    public struct Configuration: Sendable {
        /// After how long the broker aborts a transaction whose producer is gone, from 1 s to 15 min; ten seconds by
        /// default. The next owner of the shard may have to wait that long, and so may read-committed consumers.
        public var transactionTimeout = Duration.seconds(10)
        /// How many transactions may wait in line, from 1. One more is refused with `limitExceeded`.
        public var maximumWaiting = 1000

        /// The defaults.
        public init() {}
    }

    /// Where tests can stop a transaction.
    package enum Step: Sendable, CaseIterable {
        /// The lease was checked, nothing was sent.
        case records
        /// Records were sent, the shard's offset was not.
        case offsets
        /// All was sent, the commit was not.
        case commit
    }

    private let ownership: ShardOwnership
    private let writer: FencedWriter

    /// Creates a producer; no I/O happens before the first transaction, or ``warmUp()``.
    /// - Throws: `LockError` with code `invalidConfiguration`, also when the ownership's claims are not transactional.
    public convenience init(
        _ ownership: ShardOwnership, _ configuration: Configuration = Configuration()
    ) throws(LockError) {
        try self.init(ownership, configuration, isUnfenced: false, before: { _ in })
    }

    /// - Parameters:
    ///   - isUnfenced: leaves out the offsets; for tests, which have to notice that.
    ///   - before: called before a step, on the thread that performs it.
    package init(
        _ ownership: ShardOwnership, _ configuration: Configuration, isUnfenced: Bool,
        before: @escaping @Sendable (Step) -> Void
    ) throws(LockError) {
        guard ownership.claims == .transactional else {
            throw LockError(
                .invalidConfiguration, "output is fenced by transactional claims; this ownership's claims are not")
        }
        guard (.seconds(1) ... .seconds(900)).contains(configuration.transactionTimeout) else {
            throw LockError(.invalidConfiguration, "the transaction's time-out has to be from 1 s to 15 min")
        }
        guard configuration.maximumWaiting >= 1 else {
            throw LockError(.invalidConfiguration, "at least one transaction has to be able to wait")
        }
        self.ownership = ownership
        writer = FencedWriter(
            .init(
                connection: ownership.connection, topic: ownership.topic,
                transactionTimeout: configuration.transactionTimeout, maximumWaiting: configuration.maximumWaiting,
                partitioner: ownership.partitioner, isUnfenced: isUnfenced), before: before)
    }

    /// Connects and writes a transaction without output, so that the first one that matters takes no longer than
    /// others. Best called when a shard is already owned.
    /// - Throws: `LockError` as ``transaction(for:_:)-(Lease,_)``; the first transaction then tries again.
    public func warmUp() async throws(LockError) {
        let fence = ownership.board.owned.first.flatMap { ownership.board.hold($0)?.fence }
        try await writer.warmUp(fence)
    }

    /// Writes what `body` adds to the batch, in one transaction for the lease's shard.
    ///
    /// `body` runs before the transaction begins. If it throws, no transaction begins. An empty batch still asks the
    /// broker. Returns when everything is committed. Cancellation is ignored, so that work that was asked to end can
    /// still write what it has: the time is bounded.
    /// - Parameters:
    ///   - lease: of ``ShardOwnership`` or ``ShardLocks``; its name, token and owner go into the records' headers.
    ///   - body: adds records.
    /// - Throws: what `body` throws; else `LockError`, and nothing was committed unless the code is `outcomeUnknown`:
    ///   - `lost` when the lease is not valid any more or the broker knows another owner; do not try again.
    ///   - `unreachable` when it may work later; try again as long as the lease is valid.
    ///   - `outcomeUnknown` when the commit was sent and not answered. All records become visible or none, within the
    ///     transaction's time-out: read them back, as with ``OutputReader``, before writing them again.
    ///   - `limitExceeded` for too much at a time; `incompatible`, `accessRefused` for what the cluster does not let us
    ///     write; `invalidConfiguration` for a lease of another ownership.
    nonisolated(nonsending) public func transaction<Result>(
        for lease: Lease, _ body: (inout OutputBatch) throws -> Result
    ) async throws -> Result {
        try await transaction(for: [lease], body)
    }

    /// Like ``transaction(for:_:)-(Lease,_)``, for the shards of all these leases together: the records are committed
    /// only while every one of them is owned.
    nonisolated(nonsending) public func transaction<Result>(
        for leases: [Lease], _ body: (inout OutputBatch) throws -> Result
    ) async throws -> Result {
        var batch = OutputBatch(leases, locks: ownership.topic, records: ownership.records)
        let result = try body(&batch)
        if let failure = batch.failure { throw failure }
        try await commit(batch, leases.map(\.record))
        return result
    }

    /// Like ``transaction(for:_:)-(Lease,_)``, with a lease on `name` for the time of the transaction. The shard is not
    /// handed over meanwhile.
    /// - Throws: `LockError` with code `notOwner` also when this process does not own the name's shard now.
    nonisolated(nonsending) public func transaction<Result>(
        for name: LockName, _ body: (inout OutputBatch) throws -> Result
    ) async throws -> Result {
        let (hold, record) = try await ownership.grant(name)
        defer {
            _ = record.beginRelease()
            hold.release(record)
        }
        return try await transaction(for: Lease(record), body)
    }

    /// Closes the connections after all waiting transactions have been written.
    public func close() async { await writer.close() }

    private func commit(_ batch: OutputBatch, _ leases: [LeaseRecord]) async throws(LockError) {
        guard !leases.isEmpty else { throw LockError(.invalidConfiguration, "a transaction needs a lease") }
        var fences: [ShardFence] = []
        for lease in leases {
            let fence = ownership.board.hold(of: lease)?.fence
            // After the look at the board, because a lease that has ended is gone from it.
            try lease.check(atLeast: .zero)
            guard let fence else {
                throw LockError(
                    .invalidConfiguration, "the lease on \(lease.name) is not of this producer's shard ownership")
            }
            fences.append(fence)
        }
        // Of two memberships at most one is fresh.
        if let stale = zip(leases, fences).first(where: { $0.1.metadata !== fences.last?.metadata }) {
            let reason = LossReason(.partitionLost, "its membership is older than that of another lease")
            throw .lost(reason, name: stale.0.name)
        }
        for partition in batch.offsets.values.flatMap(\.keys) where !fences.contains(where: { $0.shard == partition }) {
            throw LockError(
                .invalidConfiguration,
                "the offset of partition \(partition) can be committed under a lease of shard \(partition) only")
        }
        try await writer.write(
            .init(leases: leases, fences: fences, records: batch.records, offsets: batch.offsets))
    }
}
