public import MQLock

/// The broker keeps a number that later tokens exceed, across its restarts but not across
/// ``InMemoryBroker/restartEmpty()``.
extension InMemoryLocks: RaisingLocks {
    /// Numbers in memory can be raised.
    public func checkRaising() throws(LockError) {}

    /// Whether a session is up, by the clock.
    public var isConnected: Bool {
        let now = clock.now
        return endpoint.world.look { $0.clients[endpoint.id]?.state.isConnected(at: now) ?? false }
    }

    /// The session timeout less the margin.
    public var proofLength: Duration { endpoint.world.timing.proofLength }

    /// Raises the number of a lock that is held.
    ///
    /// It is numbered by this machine's time of day, as on other brokers: see ``setTimeOfDay(ahead:)``.
    /// - Returns: the number, as large as the clock's and above `token` and the lease's own.
    /// - Throws: `LockError`: `lost` and `released`; `cancelled`; `tokenRegression` for a number far ahead of the clock.
    public func raise(_ lease: Lease, above token: FencingToken) async throws(LockError) -> FencingToken {
        try lease.check()
        let largest = max(token, lease.fencingToken)
        let number = try Self.numbering.token(
            Self.numbering.next(above: largest.rawValue, at: timeOfDay), at: timeOfDay)
        let isDone = await withTaskCancellationHandler {
            await withCheckedContinuation { caller in
                endpoint.post { client, now in
                    client.raise(lease.id, to: number.rawValue, at: now, caller)
                    if Task.isCancelled { client.giveUpRaising(lease.id) }
                }
            }
        } onCancel: { [endpoint] in
            endpoint.post { client, _ in client.giveUpRaising(lease.id) }
        }
        if isDone { return number }
        if Task.isCancelled { throw LockError(.cancelled, "raising the number of \(lease.name) was cancelled") }
        try lease.check()
        throw LockError(.unreachable, "the number of \(lease.name) is being raised already, or could not be")
    }

    private static let numbering = FencingNumbering(
        step: 32, carrier: "the lock's line in memory", remedy: "begin with another broker")
}
