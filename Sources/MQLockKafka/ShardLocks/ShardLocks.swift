public import MQLock

/// Locks on the names of the shards that this process owns, granted in order of arrival, without a round trip.
///
/// A name of another member's shard is refused with `notOwner`. This provider does not wait for other processes: it is
/// for work that is sent to the owner of its key. Needs a running ``ShardOwnership``.
///
/// ```swift
/// let locks = ShardLocks(ownership)
/// try await locks.withLock("customer-42") { lease in … }
/// ```
public final class ShardLocks: LockProvider {
    /// What this provider can do and promise.
    public let capabilities = LockCapabilities(
        mutex: "shard", waitsAcrossProcesses: false, firstComeFirstServed: false)

    private let front: LockFront

    /// Locks on the shards of `ownership`.
    public convenience init(_ ownership: ShardOwnership, observer: (any LockObserver)? = nil) {
        self.init(ownership, observer: observer, maximumWaiters: 100_000)
    }

    /// Locks with a limit on how many contenders may wait in this process, over all names.
    public init(_ ownership: ShardOwnership, observer: (any LockObserver)? = nil, maximumWaiters: Int) {
        let relay = ObserverRelay(observer)
        ownership.board.renewals.add(relay)
        front = LockFront(
            contender: ShardContender(ownership), owner: ownership.owner, relay: relay,
            maximumWaiters: max(0, maximumWaiters))
    }

    /// Waits for other holders in this process and, while the group is being rebalanced, for the outcome.
    /// - Throws: `LockError`: `notOwner` when another member owns the name's shard; `timedOut`, `cancelled`,
    ///   `limitExceeded`; `shutDown` when the ownership has ended.
    public func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await front.acquire(name, within: limit)
    }

    /// Acquires the lock if its shard is owned and no contender in this process holds the name.
    /// - Throws: `LockError` with code `notOwner` when this process does not own the name's shard now.
    public func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        try await front.tryAcquire(name)
    }
}

/// Contends for names where the shard's owner is the only contender.
private struct ShardContender: BrokerContender {
    let ownership: ShardOwnership

    init(_ ownership: ShardOwnership) { self.ownership = ownership }

    func acquire(_ name: LockName, until deadline: ContinuousClock.Instant?) async throws(LockError) -> LeaseRecord {
        let shard = Int32(ownership.shard(of: name))
        // Mostly the shard is owned, and nothing has to be watched.
        if let record = ownership.board.hold(shard)?.grant(name) { return record }
        return try await ownership.grant(name, until: deadline).record
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> LeaseRecord? {
        try await ownership.grant(name).record
    }

    func release(_ record: LeaseRecord, _ ending: HoldEnding) async {
        // When the shard's ownership has ended, so has the lease.
        ownership.board.hold(Int32(ownership.shard(of: record.name)))?.release(record)
    }
}
