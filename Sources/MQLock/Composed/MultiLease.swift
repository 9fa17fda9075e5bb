/// The proof of holding several locks as one: valid while all of them are held.
///
/// A value that can be copied freely, like a ``Lease``. The loss of one lock is the loss of all.
public struct MultiLease: Sendable {
    /// The lease of each name, in the order in which they were acquired. Hand each one's ``Lease/fencingToken`` to what
    /// its name protects.
    public let all: [Lease]
    private let whole: Lease

    init(_ leases: [Lease], whole: Lease) { (all, self.whole) = (leases, whole) }

    /// The lease of one name; nil when the name is not among those that are locked.
    public subscript(_ name: LockName) -> Lease? { all.first { $0.name == name } }

    /// Whether all of the locks are certainly still held; no I/O. Once false it stays false. See ``Lease/isValid``.
    public var isValid: Bool { whole.isValid }

    /// How long all of them stay valid if the broker is silent from now on; zero when they are not valid.
    public var remaining: Duration { whole.remaining }

    /// Throws unless all of the locks are held for at least `margin` more.
    /// - Throws: ``LockError`` as ``Lease/check(atLeast:)``.
    public func check(atLeast margin: Duration = .zero) throws(LockError) { try whole.check(atLeast: margin) }

    /// The state now and every change after it: suspect while one is, and lost with the reason of the lock that was
    /// lost first, with its name in the reason's detail. Ends after `lost` or `released`.
    public var states: LeaseStates { whole.states }

    /// The name of the lock that was lost first; nil while all are held, and after a release.
    public var lost: LockName? {
        guard case .lost = whole.record.state else { return nil }
        var first: (name: LockName, at: ContinuousClock.Instant)?
        for lease in all {
            guard case .lost = lease.record.state, let at = lease.record.endedAt else { continue }
            if first.map({ at < $0.at }) ?? true { first = (lease.name, at) }
        }
        return first?.name
    }
}
