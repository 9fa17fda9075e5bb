import MQLock
import Synchronization

/// One uninterrupted ownership of a shard, from its claim to its end.
///
/// Created and ended by the poll thread, read by every thread. Valid as long as it has not ended, and the proof, which
/// all shards of one assignment share, is valid.
final class ShardHold: Sendable {
    let shard: Int32
    let proof: ProofOfLife
    /// The lease on the whole shard while it is owned, with the claim's own number.
    let lease: LeaseRecord
    /// What the broker fences the shard's output by; nil where it cannot.
    let fence: ShardFence?
    private let owner: String
    /// How many grants a claim has numbers for.
    private let limit: UInt64
    private let usedUp: @Sendable (ShardHold) -> Void
    private let state: Locked<State>
    private let isOver = Atomic(false)

    private struct State {
        /// The claim's number, from which grants count up.
        var number: UInt64
        var grants: UInt64 = 0
        var isClaimWanted = false
        /// The leases that have not ended, with the handlers that are notified when their work has to end.
        var works: [LeaseID: Work] = [:]
        var drainUntil: ContinuousClock.Instant?
        var onIdle: (@Sendable () -> Void)?
        /// Handlers that are notified, but not waited for.
        var watchers: [UInt64: @Sendable () -> Void] = [:]
        var nextWatcher: UInt64 = 0
        var reason: LossReason?
        var isLed = false

        /// The handlers to notify, once only.
        mutating func takeHandlers() -> [@Sendable () -> Void] {
            let handlers = works.values.compactMap(\.onDrain)
            for id in works.keys { works[id]?.onDrain = nil }
            return handlers + watchers.values
        }
    }

    private struct Work {
        let lease: LeaseRecord
        var onDrain: (@Sendable () -> Void)?
    }

    /// Nil when no token can have the claim's number.
    /// - Parameters:
    ///   - grants: how many grants the claim has numbers for.
    ///   - usedUp: called once, when half of them are used, so that new ones are there in time; see ``renumber(_:)``.
    init?(
        _ shard: Int32, _ claim: OwnershipMachine.Claim, owner: String, proof: ProofOfLife, fence: ShardFence? = nil,
        grants: UInt64 = ClaimNumber.grants, usedUp: @escaping @Sendable (ShardHold) -> Void = { _ in }
    ) {
        guard let name = try? LockName("shard/\(shard)"), let token = FencingToken(rawValue: claim.number) else {
            return nil
        }
        (self.shard, self.owner, self.proof, self.fence) = (shard, owner, proof, fence)
        (limit, self.usedUp) = (grants, usedUp)
        state = Locked(State(number: claim.number))
        lease = LeaseRecord(name: name, token: token, owner: owner, proof: proof)
    }

    /// No I/O: two loads, a clock read and a compare.
    var isValid: Bool { !isOver.load(ordering: .acquiring) && proof.isAlive }

    /// When the shard is handed over in any case; set by a drain.
    var drainUntil: ContinuousClock.Instant? { state.withLock { $0.drainUntil } }

    /// Grants a lease on `name`, with a number of its own above all earlier ones of the shard. The shard's drain waits
    /// for the lease's end.
    /// - Parameter leads: whether the lease is that of the shard's leader. The first such lease has the number of the
    ///   claim itself, which is the number that others see.
    /// - Returns: nil when the shard is no longer owned, is being drained, or has used up its numbers.
    func grant(_ name: LockName, leads: Bool = false) -> LeaseRecord? {
        let (record, wantsClaim): (LeaseRecord?, Bool) = state.withLock { state in
            guard state.reason == nil, state.drainUntil == nil, proof.isAlive else { return (nil, false) }
            let isFirst = leads && !state.isLed
            let count = isFirst ? 0 : state.grants + 1
            guard count < limit, let token = FencingToken(rawValue: state.number + count) else { return (nil, false) }
            state.isLed = state.isLed || leads
            state.grants = max(state.grants, count)
            let wantsClaim = !state.isClaimWanted && count >= limit / 2
            if wantsClaim { state.isClaimWanted = true }
            let record = LeaseRecord(name: name, token: token, owner: owner, proof: proof)
            state.works[record.id] = Work(lease: record)
            return (record, wantsClaim)
        }
        if wantsClaim { usedUp(self) }
        return record
    }

    /// Whether there is no number left for a grant, until another claim is made.
    var isUsedUp: Bool { isValid && state.withLock { $0.drainUntil == nil && $0.grants + 1 >= limit } }

    /// Counts grants up from the number of a new claim, which is above all granted numbers. The fence stays: the new
    /// claim is after its offset.
    func renumber(_ claim: OwnershipMachine.Claim) {
        state.withLock { ($0.number, $0.grants, $0.isClaimWanted) = (claim.number, 0, false) }
    }

    /// A lease of ``grant(_:leads:)`` as a held lock.
    func held(_ record: LeaseRecord) -> HeldLock { HeldLock(Hold(record) { record, _ in self.release(record) }) }

    /// Whether a lease belongs to this hold and has not ended.
    func grants(_ record: LeaseRecord) -> Bool {
        record === lease || state.withLock { $0.works[record.id] != nil }
    }

    /// How many leases of ``grant(_:leads:)`` have not ended.
    var workCount: Int { state.withLock { $0.works.count } }

    /// The work on a lease has ended.
    func release(_ record: LeaseRecord) {
        let idle: (@Sendable () -> Void)? = state.withLock { state in
            state.works[record.id] = nil
            guard state.works.isEmpty else { return nil }
            defer { state.onIdle = nil }
            return state.onIdle
        }
        idle?()
    }

    /// Calls `handler` when a drain begins or the ownership ends; at once if it has; and never after the lease's end.
    ///
    /// The poll thread calls it, and has other shards to serve. So the handler must not run the user's code, such as a
    /// task's cancellation handlers, but only notify another thread.
    func onDrain(_ record: LeaseRecord, _ handler: @escaping @Sendable () -> Void) {
        let already = state.withLock { state in
            guard state.drainUntil == nil, state.reason == nil else { return true }
            state.works[record.id]?.onDrain = handler
            return false
        }
        if already { handler() }
    }

    /// Calls `handler`, which must do as little as that of ``onDrain(_:_:)``, when a drain begins and when the
    /// ownership ends. The drain does not wait for this handler's owner.
    func onGivingUp(_ handler: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            state.nextWatcher += 1
            state.watchers[state.nextWatcher] = handler
            return state.nextWatcher
        }
    }

    func forget(_ watcher: UInt64) { state.withLock { _ = $0.watchers.removeValue(forKey: watcher) } }

    /// Grants nothing more, and asks the work to end. `whenIdle` is called when the last lease has ended.
    func drain(until: ContinuousClock.Instant, whenIdle: @escaping @Sendable () -> Void) {
        let (handlers, isIdle) = state.withLock { state in
            state.drainUntil = until
            if !state.works.isEmpty { state.onIdle = whenIdle }
            return (state.takeHandlers(), state.works.isEmpty)
        }
        for handler in handlers { handler() }
        if isIdle { whenIdle() }
    }

    /// Ends the ownership: no lease is valid from now on.
    func end(_ reason: LossReason) {
        isOver.store(true, ordering: .releasing)
        let (works, handlers): ([Work], [@Sendable () -> Void]) = state.withLock { state in
            guard state.reason == nil else { return ([], []) }
            state.reason = reason
            defer { (state.works, state.onIdle) = ([:], nil) }
            return (Array(state.works.values), state.takeHandlers())
        }
        lease.lose(reason)
        for work in works { work.lease.lose(reason) }
        for handler in handlers { handler() }
    }
}
