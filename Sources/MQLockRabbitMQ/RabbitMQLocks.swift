public import MQLock

/// Locks on a RabbitMQ broker.
///
/// One provider keeps one session with the broker, connects when it is first used, and reconnects by itself. Use one
/// per program and share it; it is cheap to keep and serves thousands of names.
///
/// ```swift
/// let locks = try RabbitMQLocks(.init(uri: "amqp://user:password@broker/vhost"))
/// try await locks.withLock("nightly-report") { lease in
///     try await write(report, fence: lease.fencingToken)
/// }
/// await locks.shutdown()
/// ```
///
/// A service calls ``run()`` in a task group instead of ``shutdown(within:)``. What the mutexes do on the broker is
/// described in the articles *The single active consumer*, *The token mutex* and *The exclusive queue*.
public final class RabbitMQLocks: LockProvider {
    /// What the chosen mutex can do and promise.
    public let capabilities: LockCapabilities

    private let front: LockFront
    let supervisor: Supervisor
    private let drainTimeout: Duration

    /// Prepares a provider; no I/O happens before the first use or ``run()``.
    /// - Throws: `LockError` with code `invalidConfiguration` when the URI or a value makes no sense; `unreachable` when the
    ///   process is out of file descriptors.
    public convenience init(
        _ configuration: Configuration, observer: (any LockObserver)? = nil
    ) throws(LockError) {
        try self.init(
            SessionSettings(configuration), maximumWaiters: configuration.maximumWaiters,
            drainTimeout: configuration.drainTimeout, observer: observer)
    }

    /// With settings that no configuration has: for tests that cannot wait for half an hour.
    init(
        _ settings: SessionSettings, maximumWaiters: Int = 1000, drainTimeout: Duration = .seconds(5),
        observer: (any LockObserver)? = nil
    ) throws(LockError) {
        let relay = ObserverRelay(observer)
        capabilities = settings.mutex.capabilities(settings)
        supervisor = try Supervisor(settings: settings, relay: relay)
        front = LockFront(
            contender: SupervisedContender(Lifetime(supervisor)), owner: settings.owner, relay: relay,
            maximumWaiters: maximumWaiters)
        self.drainTimeout = drainTimeout
    }

    /// Keeps the session until the calling task is cancelled or ``shutdown(within:)`` is called; then drains: waiting
    /// contenders are turned away, holders have ``Configuration/drainTimeout`` to release, and what is still held is
    /// lost with the reason `shutdown`.
    ///
    /// Later on a refusal is tried again for as long as this runs: see ``isConnected``, ``lastError``.
    /// - Throws: `LockError` when the broker refuses the first login, with code `accessRefused` or `invalidConfiguration`:
    ///   a service that could never lock anything does not start. What may pass by itself, such as a broker that is down,
    ///   is waited for.
    public func run() async throws {
        let refusal = await withTaskCancellationHandler {
            await supervisor.serve()
        } onCancel: {
            Task { [supervisor, drainTimeout] in await supervisor.shutdown(within: drainTimeout) }
        }
        if let refusal { throw refusal }
    }

    // MARK: Health

    /// Whether a session with the broker stands: it has proven in time that it lives. No I/O: for a readiness check.
    ///
    /// A provider connects when it is first used, or by ``run()`` or ``verify(within:)``.
    public var isConnected: Bool { supervisor.health.isConnected }

    /// Why the last attempt to connect has failed or the last session has ended; `nil` while one stands, and before the first
    /// attempt.
    public var lastError: LockError? { isConnected ? nil : supervisor.health.lastError }

    /// Connects, logs in, and does once what locks do on the broker (declares, binds, consumes, publishes, receives), on a
    /// queue of its own that is deleted again. So it takes every permission that locks take. Call it once when a service
    /// starts.
    ///
    /// Cancelled, it throws `cancelled`, and leaves nothing behind.
    /// - Parameter limit: how long to try for a session and to wait for the broker's answers.
    /// - Throws: `LockError`: `accessRefused`, `invalidConfiguration`, `incompatible` and `limitExceeded` at once, as the
    ///   broker says so; `unreachable` when the time is over; `cancelled`, `shutDown`.
    public func verify(within limit: Duration = .seconds(10)) async throws(LockError) {
        if let error = await supervisor.verify(until: .now.after(max(.zero, limit))) { throw error }
    }

    /// Turns waiting contenders away, waits for holders to release, and closes. Not cut short by cancellation.
    /// - Parameter limit: how long to wait for holders; `nil` takes ``Configuration/drainTimeout``. What is still held
    ///   then is lost with the reason `shutdown`.
    public func shutdown(within limit: Duration? = nil) async {
        await supervisor.shutdown(within: limit ?? drainTimeout)
    }

    /// Waits for the lock and takes it; see the protocol for what cancellation and the deadline do.
    /// - Throws: `LockError`: `timedOut`, `cancelled`; `unreachable` when no session ever came up in time;
    ///   `accessRefused`, `incompatible`, `invalidName`, `limitExceeded`, `shutDown` and `tokenRegression` at once.
    public func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await front.acquire(name, within: limit)
    }

    /// Takes the lock if it is free; waits for one attempt to bring a session up, if there is none, but not for the lock.
    /// - Throws: `LockError` as ``acquire(_:within:)``, but never `timedOut`: `unreachable` when the attempt fails or the
    ///   broker does not answer in time.
    public func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        try await front.tryAcquire(name)
    }
}

/// Shuts the supervisor down when nobody needs it any more: neither the provider, nor a contender, nor a held lock.
private final class Lifetime: Sendable {
    let supervisor: Supervisor

    init(_ supervisor: Supervisor) { self.supervisor = supervisor }

    deinit {
        Task { [supervisor] in await supervisor.shutdown(within: .zero) }
    }
}

/// This process's contender for every name, as long as anybody needs it.
private struct SupervisedContender: BrokerContender {
    private let lifetime: Lifetime

    init(_ lifetime: Lifetime) { self.lifetime = lifetime }

    func acquire(_ name: LockName, until deadline: ContinuousClock.Instant?) async throws(LockError) -> LeaseRecord {
        guard let record = try await lifetime.supervisor.acquire(name, waits: true, deadline: deadline) else {
            preconditionFailure("a wait for \(name) ended without a lock")
        }
        return record
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> LeaseRecord? {
        try await lifetime.supervisor.acquire(name, waits: false, deadline: nil)
    }

    func release(_ record: LeaseRecord, _ ending: HoldEnding) async { await lifetime.supervisor.release(record) }
}
