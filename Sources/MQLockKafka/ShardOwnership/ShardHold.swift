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
        var leases: [LeaseID: LeaseRecord] = [:]
        var drainHandlers: [@Sendable () -> Void] = []
        var drainUntil: ContinuousClock.Instant?
        var onIdle: (@Sendable () -> Void)?
        var reason: LossReason?
        var isLed = false
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
        lease = LeaseRecord(name: name, token: token, owner: owner, proof: proof, origin: fence)
    }

    /// No I/O: two loads, a clock read and a compare.
    var isValid: Bool { !isOver.load(ordering: .acquiring) && proof.isAlive }

    var isDraining: Bool { state.withLock { $0.drainUntil != nil } }

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
            let record = LeaseRecord(name: name, token: token, owner: owner, proof: proof, origin: self)
            state.leases[record.id] = record
            return record
        }
    }

    /// The work behind a lease has ended.
    func release(_ record: LeaseRecord) {
        let idle: (@Sendable () -> Void)? = state.withLock { state in
            state.leases[record.id] = nil
            guard state.leases.isEmpty else { return nil }
            defer { state.onIdle = nil }
            return state.onIdle
        }
        idle?()
    }

    /// Calls `handler` when a drain begins or the ownership ends; at once when it has.
    func onDrain(_ handler: @escaping @Sendable () -> Void) {
        let already = state.withLock { state in
            guard state.drainUntil == nil, state.reason == nil else { return true }
            state.drainHandlers.append(handler)
            return false
        }
        if already { handler() }
    }

    /// Grants nothing more and tells the work to end. `whenIdle` is called when the last lease has.
    func drain(until: ContinuousClock.Instant, whenIdle: @escaping @Sendable () -> Void) {
        let (handlers, isIdle) = state.withLock { state in
            state.drainUntil = until
            defer { state.drainHandlers = [] }
            if !state.leases.isEmpty { state.onIdle = whenIdle }
            return (state.drainHandlers, state.leases.isEmpty)
        }
        for handler in handlers { handler() }
        if isIdle { whenIdle() }
    }

    /// Ends the ownership: no lease is valid from now on.
    func end(_ reason: LossReason) {
        isOver.store(true, ordering: .releasing)
        let (leases, handlers): ([LeaseRecord], [@Sendable () -> Void]) = state.withLock { state in
            guard state.reason == nil else { return ([], []) }
            state.reason = reason
            defer { (state.leases, state.drainHandlers, state.onIdle) = ([:], [], nil) }
            return (Array(state.leases.values), state.drainHandlers)
        }
        lease.lose(reason)
        for lease in leases { lease.lose(reason) }
        for handler in handlers { handler() }
    }
}
