/// A lock service whose numbers can be raised by whoever holds a lock: what a member of a ``BrokerQuorum`` has to be.
///
/// Each of its sessions has a ``ProofOfLife`` of its own, made after the broker has let the session in: a session is as old as
/// that.
public protocol RaisingLocks: LockProvider {
    /// Refuses locks of a kind whose numbers cannot be raised, which may depend on how the provider is configured.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration``, which says what to choose instead.
    func checkRaising() throws(LockError)

    /// Whether a session with the broker stands: it has proven in time that it lives. No I/O.
    ///
    /// False before the first use, for a provider that connects then. It has to turn true again by itself when the broker is
    /// there again, without a further call.
    var isConnected: Bool { get }

    /// The longest time for which a lease of these locks can look valid after its broker has forgotten it: how long an
    /// answered request proves the session, from its sending.
    var proofLength: Duration { get }

    /// Has every later grant of the lease's name carry a number that is larger than `token`, whoever gets it, and whatever
    /// becomes of this holder and of this broker, unless that loses its data.
    ///
    /// The lease itself keeps its token. When this throws, the number may have been raised or not, and may be yet: a number
    /// only goes up.
    /// - Parameters:
    ///   - lease: one of this provider's, and valid.
    ///   - token: the number that is to be passed.
    /// - Returns: what the broker keeps now: above `token` and the lease's own, no less than the number of this machine's
    ///   clock, and below that of every later grant.
    /// - Throws: ``LockError``: `lost` or `released` when the lease is no longer valid; `tokenRegression` for a number that is
    ///   more than a day ahead of this machine's clock; `cancelled` when the task is; `unreachable` when the broker cannot
    ///   do it.
    func raise(_ lease: Lease, above token: FencingToken) async throws(LockError) -> FencingToken
}
