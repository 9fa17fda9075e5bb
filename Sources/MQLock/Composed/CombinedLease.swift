/// Several leases as one.
extension LeaseRecord {
    /// A lease that is valid while all of its parts are, and lost with the first one's reason.
    ///
    /// It is suspect while one of them is. Its release is its own: the code that ends the hold releases the parts.
    /// - Parameters:
    ///   - parts: at least one, of one provider.
    ///   - name: what the whole locks.
    ///   - token: larger than that of every earlier grant of the whole.
    convenience init(combining parts: [LeaseRecord], name: LockName, token: FencingToken) {
        guard let first = parts.first else { preconditionFailure("a lease rests on something") }
        self.init(parts, needed: parts.count, proof: first.proof, name: name, token: token)
    }

    /// A lease that is valid while `needed` of its parts are, and lost with the reason of the part that was one too
    /// many.
    ///
    /// It is suspect while fewer than that are beyond suspicion. Its release is its own, as above.
    /// - Parameters:
    ///   - needed: how many of the parts, which are of as many providers.
    ///   - parts: at least so many.
    convenience init(_ needed: Int, of parts: [LeaseRecord], name: LockName, token: FencingToken) {
        guard let first = parts.first, 1...parts.count ~= needed else {
            preconditionFailure("\(needed) of \(parts.count) leases")
        }
        // No session proves the whole: its parts do, each by its own.
        let clock = first.proof.clock
        let proof = ProofOfLife(until: clock.now.after(.longest), clock: clock)
        self.init(parts, needed: needed, proof: proof, name: name, token: token)
    }

    private convenience init(
        _ parts: [LeaseRecord], needed: Int, proof: ProofOfLife, name: LockName, token: FencingToken
    ) {
        self.init(
            name: name, token: token, owner: parts[0].owner, proof: proof, parts: parts, needed: needed)
        for part in parts {
            // Looks for the first itself: two losses at the same instant are reported in any order.
            part.onLoss { [weak self] _ in
                self?.settleIfExpired()
                self?.followSuspicion()
            }
            part.onSuspicion { [weak self] in self?.followSuspicion() }
        }
        followSuspicion()
    }

    /// Why the part was lost that left too few, with its name; nil while there are enough.
    var lossOfParts: LossReason? {
        typealias Loss = (reason: LossReason, part: LeaseRecord, at: ContinuousClock.Instant, number: Int)
        let losses = parts.enumerated().compactMap { number, part -> Loss? in
            guard case .lost(let reason) = part.state, let at = part.endedAt else { return nil }
            return (reason, part, at, number)
        }
        let spare = parts.count - needed
        guard losses.count > spare else { return nil }
        let lost = losses.sorted { ($0.at, $0.number) < ($1.at, $1.number) }
        let (reason, part) = (lost[spare].reason, lost[spare].part)
        if spare > 0 { return LossReason(reason.kind, majorityIsGone(lost.map(\.reason))) }
        guard part.name != name else { return reason }
        return LossReason(reason.kind, reason.detail.isEmpty ? part.name.string : "\(part.name): \(reason.detail)")
    }

    private func majorityIsGone(_ reasons: [LossReason]) -> String {
        let words = reasons.map(\.description).joined(separator: ", ")
        return "\(needed) of the lock's members are needed, and \(parts.count - reasons.count) are left: \(words)"
    }
}

extension HeldLock {
    /// A lock that is held by holding others.
    /// - Parameters:
    ///   - parts: their leases; see ``LeaseRecord/init(combining:name:token:)``.
    ///   - end: ends the hold of every part, whatever happened to the whole: a loss is that of one part, and the others
    ///     still have to be released. It must not be cut short by cancellation.
    init(
        combining parts: [Lease], name: LockName, token: FencingToken,
        end: @escaping @Sendable (HoldEnding) async -> Void
    ) {
        let record = LeaseRecord(combining: parts.map(\.record), name: name, token: token)
        self.init(Hold(record) { _, ending in await end(ending) })
    }
}

/// A held lock for places where a value that cannot be copied cannot go: an array, the result of a task.
///
/// Its owner ends it once; without that it is dropped with its last reference, which is a leak like any other.
final class KeptLock: Sendable {
    let lease: Lease
    private let held: Locked<HeldLock?>

    init(_ held: consuming HeldLock) {
        lease = held.lease
        self.held = Locked(held)
    }

    /// The held lock itself, for an owner that keeps it elsewhere; once, and not after its end.
    func take() -> HeldLock {
        guard let held = held.withLock({ $0.take() }) else { preconditionFailure("a lock is kept in one place") }
        return held
    }

    /// As ``HeldLock/release()``; does nothing the second time.
    func release() async throws(LockError) {
        if let held = held.withLock({ $0.take() }) { try await held.release() }
    }

    /// Ends the hold the way the whole has ended. A loss that the whole has not suffered is not reported.
    func end(_ ending: HoldEnding) async {
        guard let held = held.withLock({ $0.take() }) else { return }
        if case .dropped = ending { return }
        try? await held.release()
    }
}
