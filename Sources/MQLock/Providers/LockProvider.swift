/// A lock service: something that grants each name to one holder at a time.
///
/// Adapters for brokers implement it, as does the in-memory provider of MQLockTesting; code that takes a lock should
/// depend on this protocol only. What an adapter can and cannot promise is in its ``capabilities``.
public protocol LockProvider: Sendable {
    /// What this provider can do and promise.
    var capabilities: LockCapabilities { get }

    /// The clock by which waits are limited; ``SystemLockClock`` unless the provider says otherwise.
    ///
    /// What takes several locks within one time counts by it, so that it goes with a clock that a test moves.
    var clock: any LockClock { get }

    /// Waits for the lock and takes it.
    ///
    /// Contenders of one process stand in a first-come-first-served line of which only the head contends at the
    /// broker. A lost connection does not end the wait: the contender goes back in line after the reconnect.
    /// - Parameters:
    ///   - name: what to lock.
    ///   - limit: how long to wait at most; `nil` waits until granted.
    /// - Throws: ``LockError``: `timedOut` at the deadline and `cancelled` when the task is cancelled, and then
    ///   nothing is held, also when a grant was on its way; other codes when waiting makes no sense.
    func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock

    /// Takes the lock if it is free, and answers at once either way.
    ///
    /// - Returns: the held lock, or `nil` when somebody else holds it or stands in line for it in this process.
    /// - Throws: ``LockError`` as ``acquire(_:within:)``.
    func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock?
}

extension LockProvider {
    /// ``SystemLockClock``.
    public var clock: any LockClock { SystemLockClock() }

    /// Waits for the lock without a limit.
    public func acquire(_ name: LockName) async throws(LockError) -> HeldLock {
        try await acquire(name, within: nil)
    }
}
