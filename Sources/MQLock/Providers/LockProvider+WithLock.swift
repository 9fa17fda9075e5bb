extension LockProvider {
    /// Runs `body` while holding the lock, and cancels its task when the lock is lost.
    ///
    /// The lock is released when the body has ended, however it ends. The body should stop soon after its task is
    /// cancelled. Before irreversible steps it should call ``Lease/check(atLeast:)`` and hand ``Lease/fencingToken`` to
    /// the resource, because no cancellation is faster than a paused machine.
    /// - Parameters:
    ///   - name: what to lock.
    ///   - limit: how long to wait for the lock at most; `nil` waits until granted.
    ///   - body: what to do; it gets the lease.
    /// - Returns: what the body returned.
    /// - Throws: what ``acquire(_:within:)`` throws; ``LockError`` with code `lost` when the lock was lost before the
    ///   body ended, with the body's own error as ``LockError/underlying``; else what the body threw.
    public func withLock<R: Sendable>(
        _ name: LockName, within limit: Duration? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        try await acquire(name, within: limit).runWhileHeld(body)
    }

    /// Runs `body` while holding the lock, in the caller's isolation and task.
    ///
    /// For work on an actor's state. A loss does not cancel the body: only ``Lease/check(atLeast:)`` shows it.
    /// - Throws: as ``withLock(_:within:_:)-(LockName,_,_)``.
    nonisolated(nonsending) public func withCheckedLock<R>(
        _ name: LockName, within limit: Duration? = nil,
        _ body: nonisolated(nonsending) (Lease) async throws -> R
    ) async throws -> R {
        let held = try await acquire(name, within: limit)
        let result: Result<R, any Error>
        do {
            result = .success(try await body(held.lease))
        } catch {
            result = .failure(error)
        }
        return try await held.finish(result)
    }
}
