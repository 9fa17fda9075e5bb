import MQLock
import Synchronization

/// One uninterrupted ownership of a shard, from its claim to its end.
///
/// Made and ended by the poll thread, looked at by everybody: valid as long as it has not ended and the proof, which all
/// shards of one assignment share, stands.
final class ShardHold: Sendable {
    let shard: Int32
    let proof: ProofOfLife
    /// The lease on the whole shard, as long as it is owned; with the claim's own number.
    let lease: LeaseRecord
    /// What the broker fences the shard's output by; nil where it cannot.
    let fence: ShardFence?
    private let number: UInt64
    private let owner: String
    private let grants = Atomic<UInt64>(0)
    private let state = Locked(State())
    private let isOver = Atomic(false)

    private struct State {
        /// The leases that have not ended, and who is to be notified that their work has to.
        var works: [LeaseID: Work] = [:]
        var drainUntil: ContinuousClock.Instant?
        var onIdle: (@Sendable () -> Void)?
        var reason: LossReason?
        var isLed = false

        /// Who is to be notified, for once only.
        mutating func takeHandlers() -> [@Sendable () -> Void] {
            let handlers = works.values.compactMap(\.onDrain)
            for id in works.keys { works[id]?.onDrain = nil }
            return handlers
        }
    }

    private struct Work {
        let lease: LeaseRecord
        var onDrain: (@Sendable () -> Void)?
    }

    /// Nil when the claim's number is none that a token can have.
    init?(
        _ shard: Int32, _ claim: OwnershipMachine.Claim, owner: String, proof: ProofOfLife, fence: ShardFence? = nil
    ) {
        guard let name = try? LockName("shard/\(shard)"), let token = FencingToken(rawValue: claim.number) else {
            return nil
        }
        (self.shard, number, self.owner, self.proof) = (shard, claim.number, owner, proof)
        self.fence = fence
        lease = LeaseRecord(name: name, token: token, owner: owner, proof: proof)
    }

    /// No I/O: two loads, a clock read and a compare.
    var isValid: Bool { !isOver.load(ordering: .acquiring) && proof.isAlive }

    /// When the shard is handed on whatever goes on; set by a drain.
    var drainUntil: ContinuousClock.Instant? { state.withLock { $0.drainUntil } }

    /// Grants a lease on `name`, with a number of its own above all earlier ones of the shard.
    /// The shard's drain waits for the lease's end.
    /// - Parameter leads: whether the lease is that of the shard's leader: the first one has the number of the claim
    ///   itself, which is what others see.
    /// - Returns: nil when the shard is owned no more, is being drained, or has used its numbers up.
    func grant(_ name: LockName, leads: Bool = false) -> LeaseRecord? {
        state.withLock { state in
            guard state.reason == nil, state.drainUntil == nil, proof.isAlive else { return nil }
            let isFirst = leads && !state.isLed
            state.isLed = state.isLed || leads
            let count = isFirst ? 0 : grants.wrappingAdd(1, ordering: .relaxed).newValue
            guard count < ClaimNumber.grants, let token = FencingToken(rawValue: number + count) else { return nil }
            let record = LeaseRecord(name: name, token: token, owner: owner, proof: proof)
            state.works[record.id] = Work(lease: record)
            return record
        }
    }

    /// A lease of ``grant(_:leads:)`` as a lock that is held.
    func held(_ record: LeaseRecord) -> HeldLock { HeldLock(Hold(record) { record, _ in self.release(record) }) }

    /// Whether a lease is of this hold and has not ended.
    func grants(_ record: LeaseRecord) -> Bool {
        record === lease || state.withLock { $0.works[record.id] != nil }
    }

    /// How many leases of ``grant(_:leads:)`` have not ended.
    var workCount: Int { state.withLock { $0.works.count } }

    /// The work behind a lease has ended.
    func release(_ record: LeaseRecord) {
        let idle: (@Sendable () -> Void)? = state.withLock { state in
            state.works[record.id] = nil
            guard state.works.isEmpty else { return nil }
            defer { state.onIdle = nil }
            return state.onIdle
        }
        idle?()
    }

    /// Calls `handler` when a drain begins or the ownership ends, at once when it has, and never after the lease's end.
    ///
    /// It is called by the poll thread, which has other shards to see to: it must not run code of the user's, such as a
    /// task's cancellation handlers, but only notify who does.
    func onDrain(_ record: LeaseRecord, _ handler: @escaping @Sendable () -> Void) {
        let already = state.withLock { state in
            guard state.drainUntil == nil, state.reason == nil else { return true }
            state.works[record.id]?.onDrain = handler
            return false
        }
        if already { handler() }
    }

    /// Grants nothing more and tells the work to end. `whenIdle` is called when the last lease has.
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
