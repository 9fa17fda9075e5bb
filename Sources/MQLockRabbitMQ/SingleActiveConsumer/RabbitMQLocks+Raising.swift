public import MQLock

/// The single active consumer mutex can raise its numbers: a holder exchanges its token for one with a larger number.
extension RabbitMQLocks: RaisingLocks {
    /// Refuses the other mutexes.
    /// - Throws: `LockError` with code `invalidConfiguration`.
    public func checkRaising() throws(LockError) {
        guard sessions.settings.mutex == .singleActiveConsumer else {
            throw LockError(
                .invalidConfiguration,
                """
                the numbers of a \(sessions.settings.mutex) lock cannot be raised, as a quorum of brokers needs: choose \
                mutex=sac, the default
                """)
        }
    }

    /// Twice the heartbeat, less the margin.
    public var proofLength: Duration { sessions.settings.longestProof }

    /// Raises the number of a held lock: publishes a token with a larger number, removes the old token, and has the
    /// queue prove that. This takes three round trips to the queue. During an alarm of the broker nothing is published,
    /// so it waits.
    /// - Returns: the number of the new token.
    /// - Throws: `LockError`: `lost` and `released`; `cancelled`; `tokenRegression` for a number that is more than a day ahead
    ///   of this machine's clock; `invalidConfiguration` as ``checkRaising()``.
    public func raise(_ lease: Lease, above token: FencingToken) async throws(LockError) -> FencingToken {
        try checkRaising()
        return try await sessions.session(of: lease.record).raise(lease.record, above: token)
    }
}
