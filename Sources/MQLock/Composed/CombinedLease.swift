/// Several leases as one.
extension LeaseRecord {
    /// A lease that is valid while all of its parts are, and lost with the first one's reason.
    ///
    /// It is suspect while one of them is. Its release is its own: the parts are released by whoever ends the hold.
    /// - Parameters:
    ///   - parts: at least one, of one provider.
    ///   - name: what the whole locks.
    ///   - token: larger than that of every earlier grant of the whole.
    convenience init(combining parts: [LeaseRecord], name: LockName, token: FencingToken) {
        guard let first = parts.first else { preconditionFailure("a lease rests on something") }
        self.init(
            name: name, token: token, owner: first.owner, proof: first.proof, limit: nil, ownProof: nil, parts: parts)
        for part in parts {
            // Looks for the first itself: two losses of one instant are heard of in any order.
            part.onLoss { [weak self] _ in self?.settleIfExpired() }
            part.onSuspicion { [weak self] in self?.followSuspicion() }
        }
        followSuspicion()
    }

    /// Why the part that ended first was lost, with its name; nil while all stand.
    var lossOfParts: LossReason? {
        var first: (reason: LossReason, part: LeaseRecord)?
        for part in parts {
            guard case .lost(let reason) = part.state else { continue }
            if let before = first?.part.endedAt, let now = part.endedAt, before <= now { continue }
            first = (reason, part)
        }
        guard let (reason, part) = first, part.name != name else { return first?.reason }
        return LossReason(reason.kind, reason.detail.isEmpty ? part.name.string : "\(part.name): \(reason.detail)")
    }
}

extension HeldLock {
    /// A lock that is held by holding others.
    /// - Parameters:
    ///   - parts: their leases; see ``LeaseRecord/init(combining:name:token:)``.
    ///   - end: ends the hold of every part, whatever has become of the whole: a loss is that of one part, and the others
    ///     are still to be released. It must not be cut short by cancellation.
    init(
        combining parts: [Lease], name: LockName, token: FencingToken,
        end: @escaping @Sendable (HoldEnding) async -> Void
    ) {
        let record = LeaseRecord(combining: parts.map(\.record), name: name, token: token)
        self.init(Hold(record) { _, ending in await end(ending) })
    }
}

/// A held lock where a value that cannot be copied cannot be: in an array, in the result of a task.
///
/// Whoever has it ends it once; without that it is dropped with its last reference, which is a leak like any other.
final class KeptLock: Sendable {
    let lease: Lease
    private let held: Locked<HeldLock?>

    init(_ held: consuming HeldLock) {
        lease = held.lease
        self.held = Locked(held)
    }

    /// The held lock itself, for whoever keeps it elsewhere; once, and not after its end.
    func take() -> HeldLock {
        guard let held = held.withLock({ $0.take() }) else { preconditionFailure("a lock is kept in one place") }
        return held
    }

    /// As ``HeldLock/release()``; does nothing the second time.
    func release() async throws(LockError) {
        if let held = held.withLock({ $0.take() }) { try await held.release() }
    }

    /// Ends the hold as that of the whole has ended. A loss that the whole has not suffered is nobody's business any more.
    func end(_ ending: HoldEnding) async {
        guard let held = held.withLock({ $0.take() }) else { return }
        if case .dropped = ending { return }
        try? await held.release()
    }
}
