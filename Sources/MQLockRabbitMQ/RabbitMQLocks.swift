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
    private let supervisor: Supervisor
    private let drainTimeout: Duration

    /// Prepares a provider; no I/O happens before the first use or ``run()``.
    /// - Throws: `LockError` with code `invalidConfiguration` when the URI or a value makes no sense.
    public init(_ configuration: Configuration, observer: (any LockObserver)? = nil) throws(LockError) {
        let settings = try SessionSettings(configuration)
        let relay = ObserverRelay(observer)
        capabilities = configuration.mutex.capabilities(settings)
        supervisor = Supervisor(settings: settings, configuration: configuration, relay: relay)
        front = LockFront(
            contender: SessionContender(
                Lifetime(supervisor), patience: settings.connectTimeout + settings.requestTimeout),
            owner: configuration.owner, relay: relay,
            maximumWaiters: configuration.maximumWaiters)
        drainTimeout = configuration.drainTimeout
    }

    /// Keeps the session until the calling task is cancelled or ``shutdown(within:)`` is called; then drains: waiting
    /// contenders are turned away, holders have ``Configuration/drainTimeout`` to release, and what is still held is
    /// lost with the reason `shutdown`.
    public func run() async throws {
        await supervisor.start()
        await withTaskCancellationHandler {
            await supervisor.stopped()
        } onCancel: {
            Task { [supervisor, drainTimeout] in await supervisor.shutdown(within: drainTimeout) }
        }
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

    /// Takes the lock if it is free; waits for a session with the broker, but not for the lock.
    /// - Throws: `LockError` as ``acquire(_:within:)``.
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

/// Contends for names over whatever session stands, and goes back in line over the next when one ends.
private struct SessionContender: BrokerContender {
    private let lifetime: Lifetime
    /// How long a try waits for a session.
    private let patience: Duration
    private var supervisor: Supervisor { lifetime.supervisor }

    init(_ lifetime: Lifetime, patience: Duration) {
        self.lifetime = lifetime
        self.patience = patience
    }

    func contend(for name: LockName, deadline: ContinuousClock.Instant?) async throws(LockError) -> LeaseRecord {
        while true {
            let session = try await supervisor.session(for: name, until: deadline)
            if let record = try await ask(session, name, waits: true, deadline) { return record }
        }
    }

    func tryOnce(for name: LockName) async throws(LockError) -> LeaseRecord? {
        let deadline = ContinuousClock.now.advanced(by: patience)
        while true {
            let session = try await supervisor.session(for: name, until: deadline)
            switch await session.contend(name, waits: false, deadline: nil) {
            case .contended: return nil
            case let answer:
                if let record = try Self.record(answer, name) { return record }
            }
        }
    }

    func end(_ record: LeaseRecord, _ ending: Hold.Ending) async {
        guard let session = record.origin as? Session else { return }
        await session.release(record)
    }

    private func ask(
        _ session: Session, _ name: LockName, waits: Bool, _ deadline: ContinuousClock.Instant?
    ) async throws(LockError) -> LeaseRecord? {
        try Self.record(await session.contend(name, waits: waits, deadline: deadline), name)
    }

    /// The grant; nil to go back in line over the next session.
    private static func record(_ answer: NameEntry.Answer, _ name: LockName) throws(LockError) -> LeaseRecord? {
        switch answer {
        case .granted(let record): return record
        case .sessionEnded(.shutdown): throw .shutDown
        case .sessionEnded, .contended: return nil
        case .timedOut(let obstacle): throw .timedOut(name, detail: obstacle ?? "it was held or waited for elsewhere")
        case .cancelled: throw .cancelled(name)
        case .failed(let error): throw error
        }
    }
}
