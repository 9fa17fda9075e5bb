import Dispatch
public import MQLock

// Who owns the shards that this process does not own.
extension ShardOwnership {
    /// The owner of the shard of `name` as far as the lock topic says: the owner, as configured, in its newest
    /// committed claim. That member may have gone since, and during a rebalance it is the previous owner.
    ///
    /// For our own shards this is ourselves, without I/O. For others it is read from the topic, and cached for some
    /// seconds, at most until the next rebalance.
    /// - Returns: `nil` when no member has claimed the shard, or the claim could not be read within five seconds.
    public func lastKnownOwner(of name: LockName) async -> String? {
        let shard = Int32(shard(of: name))
        if let hold = board.hold(shard), hold.isValid { return owner }
        return await lastKnownOwner(shard, within: .seconds(5))
    }

    /// Grants a lease on a name.
    /// - Throws: `notOwner` when this process does not own the name's shard now; else like ``grant(_:of:)``.
    func grant(_ name: LockName) async throws(LockError) -> (hold: ShardHold, record: LeaseRecord) {
        let shard = shard(of: name)
        guard let granted = try grant(name, of: Int32(shard)) else { throw await notOwner(name, shard) }
        return granted
    }

    /// Grants a lease on a name; waits while its shard may still become ours.
    /// - Throws: `LockError`: `notOwner` when another member has the shard; `timedOut`, `cancelled`, `shutDown`.
    func grant(
        _ name: LockName, until deadline: ContinuousClock.Instant?
    ) async throws(LockError) -> (hold: ShardHold, record: LeaseRecord) {
        let shard = shard(of: name)
        let detail = "its shard is not owned: the group is being joined or rebalanced"
        return try await board.grant(name, of: Int32(shard), until: deadline, waitingFor: detail) {
            standing throws(LockError) in
            switch standing {
            case .over: throw LockError(.shutDown, "the shard ownership has ended; \(name) cannot be locked by it")
            case .elsewhere: throw await notOwner(name, shard)
            case .unsettled: break
            }
        }
    }

    /// Grants a lease on a name if its shard is owned.
    /// - Throws: `limitExceeded` when the shard has no number left for it.
    func grant(_ name: LockName, of shard: Int32) throws(LockError) -> (hold: ShardHold, record: LeaseRecord)? {
        guard let hold = board.hold(shard) else { return nil }
        if let record = hold.grant(name) { return (hold, record) }
        guard hold.isUsedUp else { return nil }
        throw LockError(
            .limitExceeded,
            "all fencing tokens of the claim on shard \(shard) are used, and another claim is under way: try again")
    }

    /// The error for a caller that needs the shard here. It says what to do, and names the owner if that is known soon.
    func notOwner(_ name: LockName, _ shard: Int) async -> LockError {
        let here = "\(name) belongs to shard \(shard), which this process does not own now"
        guard hasRun else {
            return LockError(
                .notOwner, "\(here): its ShardOwnership does not run; start run(), and wait for ready() or use within:")
        }
        switch board.standing(of: Int32(shard)) {
        case .over: return LockError(.notOwner, "\(here): its ShardOwnership has ended; make a new one")
        case .unsettled:
            let why = board.hindrance.map(\.message) ?? "the group is being rebalanced, or has just been"
            return LockError(.notOwner, "\(here): \(why); wait for it with within:, or try again")
        case .elsewhere:
            let last = await lastKnownOwner(Int32(shard), within: .milliseconds(250))
            let who = last.map { "\($0.escapedForDisplay), its last known owner" } ?? "the member that does"
            return LockError(.notOwner, "\(here); send the work to \(who), as waiting here does not bring it")
        }
    }

    private func lastKnownOwner(_ shard: Int32, within limit: Duration) async -> String? {
        if let known = board.lastOwners.find(shard, now: .now) { return known.owner }
        guard let driver else { return nil }
        return await withCheckedContinuation { continuation in
            let answer = FirstAnswer(continuation)
            if board.lastOwners.wait(for: shard, { answer.give($0) }) { driver.findOwner(of: shard) }
            DispatchQueue.global().asyncAfter(deadline: .now() + limit.bounded.seconds) { answer.give(nil) }
        }
    }
}

/// Resumes a continuation with the first answer.
private final class FirstAnswer: Sendable {
    private let continuation: Locked<CheckedContinuation<String?, Never>?>

    init(_ continuation: CheckedContinuation<String?, Never>) { self.continuation = Locked(continuation) }

    func give(_ owner: String?) {
        let waiting = continuation.withLock { continuation in
            defer { continuation = nil }
            return continuation
        }
        waiting?.resume(returning: owner)
    }
}
