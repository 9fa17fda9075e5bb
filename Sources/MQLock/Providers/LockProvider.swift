/// A lock service: something that grants each name to one holder at a time.
///
/// Adapters for brokers implement it, as does the in-memory provider of MQLockTesting. Code that acquires locks should
/// depend on this protocol only. What an adapter can and cannot promise is in its ``capabilities``.
public protocol LockProvider: Sendable {
    /// What this provider can do and promise.
    var capabilities: LockCapabilities { get }

    /// The clock that limits waits; ``SystemLockClock`` unless the provider says otherwise.
    ///
    /// Code that acquires several locks within one time limit counts by it, so a test can move its time, too.
    var clock: any LockClock { get }

    /// Waits for the lock and acquires it.
    ///
    /// Contenders of one process stand in a first-come-first-served line, and only its head contends at the broker. A
    /// lost connection does not end the wait: the contender goes back in line after the reconnect.
    /// - Parameters:
    ///   - name: what to lock.
    ///   - limit: how long to wait at most; `nil` waits until granted.
    /// - Throws: ``LockError``: `timedOut` at the deadline and `cancelled` when the task is cancelled. Then nothing is
    ///   held, even when a grant was on its way. Other codes when waiting makes no sense.
    func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock

    /// Acquires the lock if it is free, and answers at once either way.
    ///
    /// - Returns: the held lock, or `nil` when another contender holds it, or stands in line for it in this process.
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
