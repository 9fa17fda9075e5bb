public import MQLock

/// Locks on a RabbitMQ broker.
public final class RabbitMQLocks: LockProvider {
    /// What the chosen mutex can do and promise.
    public let capabilities: LockCapabilities

    /// Prepares a provider; no I/O happens before the first use or ``run()``.
    /// - Throws: ``LockError`` with code `invalidConfiguration` when the URI or a value makes no sense.
    public init(_ configuration: Configuration, observer: (any LockObserver)? = nil) throws(LockError) {
        capabilities = LockCapabilities(mutex: configuration.mutex.description)
    }

    /// Keeps the session until the task is cancelled, then drains and closes.
    public func run() async throws {}

    /// Stops granting, waits for holders up to `limit`, then closes.
    public func shutdown(within limit: Duration? = nil) async {}

    /// See ``LockProvider/acquire(_:within:)``.
    public func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        throw LockError(.internalError, "work in progress")
    }

    /// See ``LockProvider/tryAcquire(_:)``.
    public func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        throw LockError(.internalError, "work in progress")
    }
}
