/// A lock service whose holders can raise the numbers of their locks. A member of a ``BrokerQuorum`` has to be one.
///
/// Each of its sessions has a ``ProofOfLife`` of its own, made after the broker has accepted the session. The proof
/// shows how old the session is.
public protocol RaisingLocks: LockProvider {
    /// Refuses locks of a kind whose numbers cannot be raised, which may depend on how the provider is configured.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration``, which says what to choose instead.
    func checkRaising() throws(LockError)

    /// Whether a session with the broker is up: it has proven in time that it lives. No I/O.
    ///
    /// False before the first use, for a provider that connects then. It has to turn true again by itself when the
    /// broker is back, without a further call.
    var isConnected: Bool { get }

    /// The longest time for which a lease of these locks can look valid after its broker has forgotten it. An answered
    /// request proves the session for this long, from its sending.
    var proofLength: Duration { get }

    /// Makes every later grant of the lease's name carry a number larger than `token`, whichever contender gets it, and
    /// whatever happens to this holder and to this broker, unless the broker loses its data.
    ///
    /// The lease itself keeps its token. When this throws, the number may have been raised or not, and may still be
    /// raised later: a number only goes up.
    /// - Parameters:
    ///   - lease: one of this provider's, and valid.
    ///   - token: the number to exceed.
    /// - Returns: what the broker keeps now: above `token` and the lease's own, no less than the number of this machine's
    ///   clock, and below that of every later grant.
    /// - Throws: ``LockError``: `lost` or `released` when the lease is no longer valid; `tokenRegression` for a number that is
    ///   more than a day ahead of this machine's clock; `cancelled` when the task is; `unreachable` when the broker cannot
    ///   do it.
    func raise(_ lease: Lease, above token: FencingToken) async throws(LockError) -> FencingToken
}
