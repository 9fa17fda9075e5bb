import MQLock

/// Which shards this process owns: written by the poll thread, read by every thread.
final class OwnershipBoard: Sendable {
    let lastOwners = LastOwners()

    private struct State {
        var holds: [ShardHold?]
        /// Our assignment; nil until the group has made one, or while it revokes everything.
        var assigned: Set<Int32>?
        var isOver = false
        /// Callers that wait for a change.
        var watchers: [UInt64: AsyncStream<Void>.Continuation] = [:]
        var readers = Readers<ShardEvent>()
        var next: UInt64 = 0
        /// What keeps shards from being owned.
        var hindrance: LockError?
        /// Shards that a rebalance revoked and may bring back.
        var interrupted: [Int32: FencingToken] = [:]

        /// Interrupted shards do not come back.
        mutating func releaseInterrupted(except kept: [Int32]) {
            for (shard, token) in interrupted.sorted(by: { $0.key < $1.key }) where !kept.contains(shard) {
                interrupted[shard] = nil
                readers.tell(
                    ShardEvent(.released, shard: Int(shard), token: token, reason: LossReason(.partitionRevoked)))
            }
        }
    }

    private let state: Locked<State>
    let renewals = Renewals()

    private let partitioner: Partitioner

    init(partitions: Int, _ partitioner: Partitioner = .murmur2) {
        state = Locked(State(holds: Array(repeating: nil, count: partitions)))
        self.partitioner = partitioner
    }

    func hold(_ shard: Int32) -> ShardHold? { state.withLock { $0.holds[Int(shard)] } }

    /// The hold that a lease belongs to; nil for a lease that has ended, and for leases of other locks.
    func hold(of lease: LeaseRecord) -> ShardHold? {
        let holds = state.withLock { $0.holds }
        // Mostly the lease's name belongs to the shard; not so the lease of a whole shard, or of a leader.
        let likely = holds[Int(partitioner.partition(of: lease.name.utf8, count: holds.count))]
        if let likely, likely.grants(lease) { return likely }
        return holds.lazy.compactMap { $0 }.first { $0.grants(lease) }
    }

    var owned: [Int32] {
        state.withLock { state in state.holds.compactMap { $0 } }.filter(\.isValid).map(\.shard)
    }

    /// Who owns a shard, as far as this process knows.
    enum Standing {
        /// Ours, or it may become so.
        case unsettled
        /// Another member's.
        case elsewhere
        /// The ownership has ended.
        case over
    }

    func standing(of shard: Int32) -> Standing {
        state.withLock { state in
            if state.isOver { return .over }
            guard let assigned = state.assigned else { return .unsettled }
            return assigned.contains(shard) ? .unsettled : .elsewhere
        }
    }

    /// Grants a lease on `name` as soon as the shard is owned and accepts new work.
    /// - Parameters:
    ///   - detail: what the caller has waited for, for the error when its time is over; known obstacles are added.
    ///   - mayWait: throws when waiting makes no sense in the shard's current state.
    /// - Throws: `LockError`: `cancelled`, `timedOut`; else what `mayWait` throws.
    func grant(
        _ name: LockName, of shard: Int32, leads: Bool = false, until deadline: ContinuousClock.Instant?,
        waitingFor detail: String, mayWait: (Standing) async throws(LockError) -> Void
    ) async throws(LockError) -> (hold: ShardHold, record: LeaseRecord) {
        while true {
            // Before the look, so that no change is missed.
            let (id, changes) = watch()
            defer { unwatch(id) }
            if let hold = hold(shard), let record = hold.grant(name, leads: leads) { return (hold, record) }
            try await mayWait(standing(of: shard))
            try await wait(for: changes, name, until: deadline, detail)
        }
    }

    /// Waits until the whole assignment is owned.
    /// - Throws: `LockError`: `cancelled`, `timedOut`, `shutDown`.
    func settle(_ topic: LockName, until deadline: ContinuousClock.Instant?) async throws(LockError) {
        while true {
            let (id, changes) = watch()
            defer { unwatch(id) }
            let (isOver, isSettled) = state.withLock { state in
                (state.isOver, state.assigned?.allSatisfy { state.holds[Int($0)] != nil } ?? false)
            }
            if isOver { throw LockError(.shutDown, "the shard ownership of \(topic) has ended") }
            if isSettled { return }
            try await wait(for: changes, topic, until: deadline, "the group is being joined or rebalanced")
        }
    }

    /// A stream that yields once, when a shard becomes owned or the group has answered, and ends.
    private func watch() -> (id: UInt64, changes: AsyncStream<Void>) {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let id = state.withLock { state in
            state.next += 1
            state.watchers[state.next] = continuation
            return state.next
        }
        return (id, stream)
    }

    private func unwatch(_ id: UInt64) { state.withLock { _ = $0.watchers.removeValue(forKey: id) } }

    /// Waits for one of these streams to yield.
    /// - Throws: `LockError`: `cancelled`, or `timedOut` with the detail of what was waited for.
    private func wait(
        for changes: AsyncStream<Void>, _ name: LockName, until deadline: ContinuousClock.Instant?, _ detail: String
    ) async throws(LockError) {
        let inTime = await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                for await _ in changes { break }
                return true
            }
            if let deadline {
                group.addTask {
                    try? await SystemLockClock().sleep(until: deadline)
                    return false
                }
            }
            defer { group.cancelAll() }
            return await group.next() ?? true
        }
        if Task.isCancelled { throw .cancelled(name) }
        if !inTime { throw .timedOut(name, detail: hindrance.map { "\(detail); \($0.message)" } ?? detail) }
    }

    private func change(_ body: (inout State) -> Void) {
        let watchers = state.withLock { state in
            body(&state)
            defer { state.watchers = [:] }
            return Array(state.watchers.values)
        }
        for watcher in watchers {
            watcher.yield()
            watcher.finish()
        }
    }

    func set(_ hold: ShardHold) {
        change { state in
            state.hindrance = nil
            state.holds[Int(hold.shard)] = hold
            let isBack = state.interrupted.removeValue(forKey: hold.shard) != nil
            state.readers.tell(ShardEvent(isBack ? .regained : .owned, shard: Int(hold.shard), token: hold.lease.token))
        }
    }

    /// A shard has numbers for new grants again.
    func renumbered() { change { _ in } }

    /// The shard's hold has ended.
    func remove(_ shard: Int32, _ reason: LossReason) {
        state.withLock { state in
            guard let hold = state.holds[Int(shard)] else { return }
            state.holds[Int(shard)] = nil
            let kind: ShardEvent.Kind
            switch reason.kind {
            case .partitionRevoked:
                state.interrupted[shard] = hold.lease.token
                kind = .interrupted
            case .shutdown: kind = .released
            default: kind = .lost
            }
            state.readers.tell(ShardEvent(kind, shard: Int(shard), token: hold.lease.token, reason: reason))
        }
    }

    /// The group has answered: an interrupted shard that is not among `shards` has gone to another member.
    func assigned(_ shards: [Int32]) {
        lastOwners.forget()
        change { state in
            state.assigned = Set(shards)
            state.releaseInterrupted(except: shards)
        }
    }

    /// The group revokes everything, or the membership has ended.
    func unassigned() {
        lastOwners.forget()
        state.withLock { $0.assigned = nil }
    }

    /// What keeps shards from being owned, if it is known.
    var hindrance: LockError? { state.withLock { $0.hindrance } }

    /// Reports a warning, and keeps it for callers that need a shard, until one is owned.
    func hinder(_ error: LockError) {
        state.withLock { state in
            state.hindrance = error
            state.readers.tell(
                ShardEvent(.warning, reason: LossReason(.partitionLost, error.message), errorCode: error.code))
        }
    }

    func tell(_ event: ShardEvent) { state.withLock { $0.readers.tell(event) } }

    func subscribe() -> AsyncStream<ShardEvent> {
        state.withLock { state in
            let owned = state.holds.compactMap(\.self).filter(\.isValid)
            defer { if state.isOver { state.readers.finish() } }
            return state.readers.add(
                beginningWith: owned.map { ShardEvent(.owned, shard: Int($0.shard), token: $0.lease.token) })
        }
    }

    /// How many readers the events have, for tests.
    var readerCount: Int { state.withLock { $0.readers.count } }

    func finish() {
        change { state in
            state.isOver = true
            state.releaseInterrupted(except: [])
            state.readers.finish()
        }
    }
}
