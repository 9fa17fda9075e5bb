import Synchronization

/// A grant, for adapters: what all copies of a ``Lease`` share. The adapter makes it when its broker grants a lock, and
/// updates it; holders only read it.
public final class LeaseRecord: Sendable {
    /// What is locked.
    public let name: LockName
    /// The number of the grant.
    public let token: FencingToken
    /// Distinguishes this grant from every other.
    public let id = LeaseID()
    /// Who holds it.
    public let owner: String
    private let grant: CompactInstant
    /// The session's proof, shared by all its leases.
    package let proof: ProofOfLife
    private let latest: CompactInstant?
    /// A further proof, of this lease alone: the lease stands no longer than this either.
    package let ownProof: ProofOfLife?
    /// What a lease of a composed lock rests on: it stands as long as enough of these do.
    package let parts: [LeaseRecord]
    /// How many of the parts are needed: all of them, or a majority.
    let needed: Int

    private struct Storage {
        var state = LeaseState.held
        var endedAt: CompactInstant?
        var info: String?
        var subscribers: [Subscriber] = []
        var onLoss: [@Sendable (LossReason) -> Void] = []
        var onSuspicion: [@Sendable () -> Void] = []
    }

    /// One iterator of the states.
    private final class Subscriber: Sendable {
        let continuation: AsyncStream<LeaseState>.Continuation
        let isGone = Atomic(false)

        init(_ continuation: AsyncStream<LeaseState>.Continuation) { self.continuation = continuation }
    }

    private let storage = Locked(Storage())
    /// Set once, when the state has become final; lets `isValid` decide without the lock.
    private let isFinal = Atomic(false)

    /// A grant made now, which stands as long as all of its proofs do.
    /// - Parameters:
    ///   - name: what is locked.
    ///   - token: larger than that of every earlier grant of the name.
    ///   - owner: who holds it, as configured.
    ///   - proof: the session's, which all its leases share.
    ///   - limit: the latest instant up to which this mutex can be held, if there is one.
    ///   - ownProof: a further proof, of this lease alone.
    public convenience init(
        name: LockName, token: FencingToken, owner: String, proof: ProofOfLife,
        limit: ContinuousClock.Instant? = nil, ownProof: ProofOfLife? = nil
    ) {
        self.init(
            name: name, token: token, owner: owner, proof: proof, limit: limit.map { CompactInstant($0) },
            ownProof: ownProof, at: proof.clock.compactNow)
    }

    /// - Parameter instant: when it is granted.
    private init(
        name: LockName, token: FencingToken, owner: String, proof: ProofOfLife, limit: CompactInstant?,
        ownProof: ProofOfLife?, at instant: CompactInstant, parts: [LeaseRecord] = [], needed: Int = 0
    ) {
        self.name = name
        self.token = token
        self.owner = owner
        self.proof = proof
        latest = limit
        self.ownProof = ownProof
        self.parts = parts
        self.needed = needed
        grant = instant
    }

    /// A lease that rests on parts.
    convenience init(
        name: LockName, token: FencingToken, owner: String, proof: ProofOfLife, parts: [LeaseRecord], needed: Int
    ) {
        self.init(
            name: name, token: token, owner: owner, proof: proof, limit: nil, ownProof: nil,
            at: proof.clock.compactNow, parts: parts, needed: needed)
    }

    /// A further grant that rests on all that another one rests on.
    /// - Parameter instant: when it is granted: the clock has just shown it.
    package convenience init(after other: LeaseRecord, token: FencingToken, at instant: CompactInstant) {
        self.init(
            name: other.name, token: token, owner: other.owner, proof: other.proof, limit: other.latest,
            ownProof: other.ownProof, at: instant)
    }

    package var grantedAt: ContinuousClock.Instant { grant.instant }

    /// The latest instant up to which this mutex can be held, if there is one.
    package var limit: ContinuousClock.Instant? { latest?.instant }

    // MARK: Reading

    /// Whether the lock is certainly still held: as ``Lease/isValid``.
    public var isValid: Bool { nanosecondsLeft > 0 }

    package var remaining: Duration { .nanoseconds(nanosecondsLeft) }

    private var nanosecondsLeft: Int64 {
        if isFinal.load(ordering: .acquiring) { return 0 }
        let left = nanosecondsLeft(at: nil)
        if left == 0 { settleIfExpired() }
        return left
    }

    /// Up to when the lease is valid as things are; nil when it is not.
    package var validUntil: ContinuousClock.Instant? { isValid ? endsAt : nil }

    package func check(atLeast margin: Duration) throws(LockError) {
        let left = remaining
        // A negative margin asks for no more than validity itself.
        if left > .zero, left >= margin { return }
        switch state {
        case .lost(let reason): throw .lost(reason, name: name)
        case .released: throw LockError(.released, "the lock \(name) was released; its lease is no longer valid")
        case .held, .suspect:
            throw LockError(
                .leaseTooShort,
                """
                the lock \(name) is held, but proven for another \(left.readable) only, less than the \
                \(margin.readable) asked for; wait for the next renewal or do less at a time
                """)
        }
    }

    /// The current state; an expired proof counts as lost even if nothing has noticed it before.
    package var state: LeaseState {
        if !isFinal.load(ordering: .acquiring) { settleIfExpired() }
        return storage.withLock { $0.state }
    }

    /// The instant at which validity ended: of the loss, the release, or the expiry; nil while it stands.
    package var endedAt: ContinuousClock.Instant? { compactEnd?.instant }

    package var compactEnd: CompactInstant? { storage.withLock { $0.endedAt } }

    /// What the holder says about its hold.
    package var info: String? {
        get { storage.withLock { $0.info } }
        set {
            storage.withLock { $0.info = newValue }
            for part in parts { part.info = newValue }
        }
    }

    /// How long the lock has been held, up to its end.
    package var heldFor: Duration { grantedAt.duration(to: endedAt ?? proof.clock.now) }

    package func subscribe() -> AsyncStream<LeaseState> {
        settleIfExpired()
        // Two states can alternate (held, suspect) and two can end: with four places nothing that matters is dropped,
        // and a reader that never reads costs four values.
        let (stream, continuation) = AsyncStream.makeStream(of: LeaseState.self, bufferingPolicy: .bufferingNewest(4))
        let subscriber = Subscriber(continuation)
        // This may run inside a task's cancellation, which holds that task's lock. `change` needs that lock to wake the
        // task while it holds the storage's. So this takes no lock, and the code that holds the storage's cleans up.
        continuation.onTermination = { [weak subscriber] _ in subscriber?.isGone.store(true, ordering: .relaxed) }
        let ended: LeaseState? = storage.withLock { storage in
            guard !storage.state.isFinal else { return storage.state }
            storage.subscribers.removeAll { $0.isGone.load(ordering: .relaxed) }
            storage.subscribers.append(subscriber)
            // Under the lock, so no later state can overtake the current one.
            continuation.yield(storage.state)
            return nil
        }
        if let ended {
            continuation.yield(ended)
            continuation.finish()
        }
        return stream
    }

    /// Calls `body` once, when the lease is lost; at once when it already is. Never called for a release.
    package func onLoss(_ body: @escaping @Sendable (LossReason) -> Void) {
        let already: LossReason? = storage.withLock { storage in
            if case .lost(let reason) = storage.state { return reason }
            if storage.state != .released { storage.onLoss.append(body) }
            return nil
        }
        if let already { body(already) }
    }

    /// Calls `body` after each change between held and suspect.
    func onSuspicion(_ body: @escaping @Sendable () -> Void) {
        storage.withLock { storage in
            if !storage.state.isFinal { storage.onSuspicion.append(body) }
        }
    }

    /// Whether its proofs stand at this instant, which the clock has just shown, also if the lease has ended.
    package func isProven(at instant: CompactInstant) -> Bool { nanosecondsLeft(at: instant) > 0 }

    // MARK: Updating

    /// Ends the lease as lost, and notifies the holder; false when it had ended before. Call it before the broker can
    /// hand the lock to someone else, or as soon as it is known to have done so.
    @discardableResult
    public func lose(_ reason: LossReason) -> Bool {
        settle(.lost(reason), at: proof.clock.compactNow)
    }

    /// Marks the proof as overdue, or as fresh again; false when that changed nothing.
    @discardableResult
    public func setSuspect(_ suspect: Bool) -> Bool {
        change { storage in
            switch (storage.state, suspect) {
            case (.held, true): storage.state = .suspect
            case (.suspect, false): storage.state = .held
            default: return false
            }
            return true
        }
    }

    /// Makes a lease that rests on parts suspect while too few of them are beyond suspicion.
    func followSuspicion() {
        change { storage in
            // Under the lock, so the last reader has seen the last change. It is always taken before the parts' locks.
            let sound = parts.count { $0.storage.withLock { $0.state == .held } }
            let wanted: LeaseState = sound < needed ? .suspect : .held
            guard !storage.state.isFinal, storage.state != wanted else { return false }
            storage.state = wanted
            return true
        }
    }

    /// Ends the lease as released, unless it was lost before. In that case it returns the reason, and the caller must
    /// touch nothing.
    package func beginRelease() -> LossReason? {
        // In this order: a lease that ran out by the clock is lost, and an earlier end stands.
        let now = proof.clock.compactNow
        if nanosecondsLeft(at: now) > 0 {
            if settle(.released, at: now) { return nil }
        } else {
            settleIfExpired()
        }
        if case .lost(let reason) = storage.withLock({ $0.state }) { return reason }
        return nil
    }

    /// Ends the lease as lost if its time has run out by the clock; true when this call did it.
    @discardableResult
    package func settleIfExpired() -> Bool {
        guard nanosecondsLeft(at: nil) == 0 else { return false }
        if let reason = lossOfParts { return settle(.lost(reason), at: CompactInstant(endsAt)) }
        let now = proof.clock.compactNow
        if let latest, latest <= now {
            return settle(.lost(LossReason(.holdLimit)), at: latest)
        }
        let detail = ownProof.map { $0.isAlive ? "" : Self.queueIsSilent } ?? ""
        return settle(.lost(LossReason(.proofOverdue, detail)), at: now)
    }

    /// The reason that a lease reports when its own proof has ended it.
    package static let queueIsSilent = "the lock's queue confirmed nothing in time"

    /// What is left by the proofs, the parts and the limit, at an instant that the clock has just shown.
    /// - Parameter instant: nil to read the clock.
    private func nanosecondsLeft(at instant: CompactInstant?) -> Int64 {
        var proven = proof.nanosecondsLeft(at: instant)
        if let ownProof { proven = min(proven, ownProof.nanosecondsLeft(at: instant)) }
        if let left = ofParts(\.nanosecondsLeft) { proven = min(proven, left) }
        guard let latest else { return proven }
        return max(0, min(proven, latest.nanoseconds - (instant ?? proof.clock.compactNow).nanoseconds))
    }

    /// The largest value that enough of the parts reach; nil without parts. Each part is checked.
    private func ofParts<Value: Comparable>(_ value: (LeaseRecord) -> Value) -> Value? {
        guard !parts.isEmpty else { return nil }
        guard needed < parts.count else { return parts.map(value).min() }
        return parts.map(value).sorted(by: >)[needed - 1]
    }

    /// When the lease ends, or has ended, by its proofs, its limit and its parts.
    private var endsAt: ContinuousClock.Instant {
        let proven = min(proof.endsAt, limit ?? proof.endsAt, ownProof?.endsAt ?? proof.endsAt)
        guard let end = ofParts({ $0.endedAt ?? $0.endsAt }) else { return proven }
        return min(proven, end)
    }

    @discardableResult
    private func settle(_ final: LeaseState, at instant: CompactInstant) -> Bool {
        change { storage in
            guard !storage.state.isFinal else { return false }
            storage.state = final
            // A loss may be noticed long after validity ended, by the clock that all leases of the session share.
            storage.endedAt = final == .released ? instant : min(instant, CompactInstant(endsAt))
            isFinal.store(true, ordering: .releasing)
            return true
        }
    }

    /// Applies a transition under the lock and notifies everyone after it.
    @discardableResult
    private func change(_ transition: (inout Storage) -> Bool) -> Bool {
        var finished: [Subscriber] = []
        var lossHandlers: [@Sendable (LossReason) -> Void] = []
        var suspicionHandlers: [@Sendable () -> Void] = []
        var reason: LossReason?
        let changed = storage.withLock { storage in
            guard transition(&storage) else { return false }
            // Yielding under the lock keeps the order; a stream's continuation runs no user code while it yields.
            for subscriber in storage.subscribers { subscriber.continuation.yield(storage.state) }
            guard storage.state.isFinal else {
                suspicionHandlers = storage.onSuspicion
                return true
            }
            finished = storage.subscribers
            storage.subscribers = []
            if case .lost(let why) = storage.state {
                reason = why
                lossHandlers = storage.onLoss
            }
            storage.onLoss = []
            storage.onSuspicion = []
            return true
        }
        for subscriber in finished { subscriber.continuation.finish() }
        for handler in suspicionHandlers { handler() }
        if let reason { for handler in lossHandlers { handler(reason) } }
        return changed
    }
}
