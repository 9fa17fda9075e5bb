public import MQLock

/// Locks on a RabbitMQ broker.
///
/// A provider keeps a session with the broker. It connects when it is first used, and reconnects by itself. Use one
/// per program and share it; it is cheap to keep and serves thousands of names. When the broker allows no more channels
/// on the session's connection, it opens further sessions.
///
/// ```swift
/// let locks = try RabbitMQLocks(.init(uri: "amqp://user:password@broker/vhost"))
/// try await locks.withLock("nightly-report") { lease in
///     try await write(report, fence: lease.fencingToken)
/// }
/// await locks.shutdown()
/// ```
///
/// A service calls ``run()`` in a task group instead of ``shutdown(within:)``. The articles *The single active
/// consumer*, *The token mutex* and *The exclusive queue* describe what the mutexes do on the broker.
public final class RabbitMQLocks: LockProvider {
    /// What the chosen mutex can do and promise.
    public let capabilities: LockCapabilities

    private let front: LockFront
    let sessions: Sessions
    private let drainTimeout: Duration

    /// Creates a provider; no I/O happens before the first use or ``run()``.
    /// - Throws: `LockError` with code `invalidConfiguration` when the URI or a value is invalid; `unreachable` when
    ///   the process is out of file descriptors.
    public convenience init(
        _ configuration: Configuration, observer: (any LockObserver)? = nil
    ) throws(LockError) {
        try self.init(
            SessionSettings(configuration), maximumWaiters: configuration.maximumWaiters,
            drainTimeout: configuration.drainTimeout, observer: observer)
    }

    /// With settings that no configuration offers, for tests that cannot wait half an hour.
    init(
        _ settings: SessionSettings, maximumWaiters: Int = 1000, drainTimeout: Duration = .seconds(5),
        observer: (any LockObserver)? = nil
    ) throws(LockError) {
        let relay = ObserverRelay(observer)
        capabilities = settings.mutex.capabilities(settings)
        sessions = try Sessions(settings: settings, relay: relay)
        front = LockFront(
            contender: SessionContender(Lifetime(sessions)), owner: settings.owner, relay: relay,
            maximumWaiters: maximumWaiters)
        self.drainTimeout = drainTimeout
    }

    /// Keeps the session until the calling task is cancelled or ``shutdown(within:)`` is called. Then it drains:
    /// waiting contenders are turned away, holders have ``Configuration/drainTimeout`` to release, and locks still held
    /// after that are lost with the reason `shutdown`.
    ///
    /// After the first login, a refused login is retried as long as this runs: see ``isConnected``, ``lastError``.
    /// - Throws: `LockError` when the broker refuses the first login, with code `accessRefused` or
    ///   `invalidConfiguration`: a service that could never lock anything does not start. Problems that may pass, such
    ///   as a broker that is down, do not throw; `run` keeps trying.
    public func run() async throws {
        let refusal = await withTaskCancellationHandler {
            await sessions.serve()
        } onCancel: {
            Task { [sessions, drainTimeout] in await sessions.shutdown(within: drainTimeout) }
        }
        if let refusal { throw refusal }
    }

    // MARK: Health

    /// Whether a session with the broker is up and its proof of life is on time, and so is every further one that has
    /// locks or waiters. No I/O: suitable for a readiness check.
    ///
    /// A provider connects when it is first used, or in ``run()`` or ``verify(within:)``.
    public var isConnected: Bool { sessions.isConnected }

    /// Why the last connection attempt failed or the last session ended; `nil` while a session is up, and before the
    /// first attempt.
    public var lastError: LockError? { sessions.lastError }

    /// Connects, logs in, and does once what locks do on the broker (declare, bind, consume, publish, receive), on a
    /// queue of its own that is then deleted. So it needs every permission that locks need. Call it once when a service
    /// starts.
    ///
    /// When cancelled, it throws `cancelled` and leaves nothing behind.
    /// - Parameter limit: how long to wait for a session and for the broker's answers.
    /// - Throws: `LockError`: `accessRefused`, `invalidConfiguration`, `incompatible` and `limitExceeded` as soon as
    ///   the broker reports them; `unreachable` when the time is over; `cancelled`, `shutDown`.
    public func verify(within limit: Duration = .seconds(10)) async throws(LockError) {
        if let error = await sessions.first.verify(until: .now.after(max(.zero, limit))) { throw error }
    }

    /// Turns waiting contenders away, waits for holders to release, and closes every session. Cancellation does not cut
    /// it short.
    /// - Parameter limit: how long to wait for holders; `nil` means ``Configuration/drainTimeout``. Locks still held
    ///   after that are lost with the reason `shutdown`.
    public func shutdown(within limit: Duration? = nil) async {
        await sessions.shutdown(within: limit ?? drainTimeout)
    }

    /// Waits for the lock and acquires it; see `LockProvider` for what cancellation and the deadline do.
    /// - Throws: `LockError`: `timedOut`, `cancelled`; `unreachable` when no session came up in time; `accessRefused`,
    ///   `incompatible`, `invalidName`, `limitExceeded`, `shutDown` and `tokenRegression` at once.
    public func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await front.acquire(name, within: limit)
    }

    /// Acquires the lock if it is free; waits for one connection attempt if there is no session, but not for the lock.
    /// - Throws: `LockError` as ``acquire(_:within:)``, but never `timedOut`: `unreachable` when the attempt fails or the
    ///   broker does not answer in time.
    public func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        try await front.tryAcquire(name)
    }
}

/// Shuts the sessions down when nothing needs them any longer: no provider, no contender, no held lock.
private final class Lifetime: Sendable {
    let sessions: Sessions

    init(_ sessions: Sessions) { self.sessions = sessions }

    deinit {
        Task { [sessions] in await sessions.shutdown(within: .zero) }
    }
}

/// This process's contender for each name, as long as something needs it.
private struct SessionContender: BrokerContender {
    private let lifetime: Lifetime

    init(_ lifetime: Lifetime) { self.lifetime = lifetime }

    func acquireLocally(_ name: LockName) -> LeaseRecord? { lifetime.sessions.takeKept(name) }

    func acquire(_ name: LockName, until deadline: ContinuousClock.Instant?) async throws(LockError) -> LeaseRecord {
        guard let record = try await lifetime.sessions.acquire(name, waits: true, deadline: deadline) else {
            preconditionFailure("a wait for \(name) ended without a lock")
        }
        return record
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> LeaseRecord? {
        try await lifetime.sessions.acquire(name, waits: false, deadline: nil)
    }

    func release(_ record: LeaseRecord, _ ending: HoldEnding) async { lifetime.sessions.release(record, ending) }
}
