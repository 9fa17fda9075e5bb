public import MQLock
import Synchronization

/// Locks on a Kafka topic: any process acquires any name, and waits its turn, first come, first served.
///
/// The topic is a log that every contender reads from end to end; who holds a lock follows from its records alone. There is
/// no consumer group and there are no transactions, so nobody is interrupted when others come and go. What happens on the
/// topic, how it has to be set up and what it costs is in the article <doc:LogLock>.
///
/// ```swift
/// let locks = try KafkaLocks(.init(connection: .init(brokers: ["broker:9092"]), topic: "locks"))
/// try await locks.withLock("nightly-report") { lease in
///     try await write(report, fence: lease.fencingToken)
/// }
/// await locks.shutdown()
/// ```
///
/// One provider connects when it is first used, and again by itself. Use one per program and share it.
public final class KafkaLocks: LockProvider {
    /// What it can do and promise.
    public let capabilities = LockCapabilities(mutex: "log")

    private let front: LockFront
    let contender: LogContender
    private let configuration: Configuration

    /// Prepares a provider; no I/O happens before the first use or ``run()``.
    /// - Throws: `LockError` with code `invalidConfiguration` when a value makes no sense.
    public convenience init(
        _ configuration: Configuration, observer: (any LockObserver)? = nil
    ) throws(LockError) {
        try self.init(configuration, observer: observer, clock: SystemLockClock())
    }

    init(
        _ configuration: Configuration, observer: (any LockObserver)?, clock: any LockClock
    ) throws(LockError) {
        let settings = try configuration.settings()
        let relay = ObserverRelay(observer)
        contender = LogContender(try LogDriver(settings, relay, clock: clock))
        front = LockFront(
            contender: contender, owner: configuration.owner, relay: relay, clock: clock,
            maximumWaiters: max(0, configuration.maximumWaiters))
        self.configuration = configuration
    }

    /// Keeps the provider until the calling task is cancelled or ``shutdown(within:)`` is called; then drains: waiting
    /// contenders are turned away, holders have ``Configuration/drainTimeout`` to release, and what is still held is lost
    /// with the reason `shutdown`.
    /// - Throws: `LockError` when the first question to the cluster shows that nothing could ever be locked:
    ///   `accessRefused`, `invalidConfiguration`, or `incompatible` without a topic of so many partitions. What may pass by
    ///   itself, such as a broker that is down, is waited for.
    public func run() async throws {
        if case .failure(let error) = await contender.driver.bounds(of: 0), error.code != .unreachable { throw error }
        await withTaskCancellationHandler {
            await contender.driver.ended()
        } onCancel: {
            Task { [self] in await shutdown() }
        }
    }

    /// Turns waiting contenders away, waits for holders to release, and ends the sessions. Not cut short by cancellation.
    /// - Parameter limit: how long to wait for holders; `nil` takes ``Configuration/drainTimeout``. What is still held then
    ///   is lost with the reason `shutdown`.
    public func shutdown(within limit: Duration? = nil) async {
        let limit = max(.zero, limit ?? configuration.drainTimeout)
        await contender.driver.shutdown(until: .now.after(limit))
    }

    // MARK: Health

    /// Whether a session stands: it has proven in time that it lives. No I/O: for a readiness check. Sessions that nobody
    /// needs for a minute are closed, and opened again when a lock is wanted.
    public var isConnected: Bool { contender.driver.health.isConnected }

    /// Why the last attempt to connect has failed or the last session has ended; `nil` while one stands, and before the first
    /// attempt.
    public var lastError: LockError? { contender.driver.health.lastError }

    /// Opens a session and takes a lock of its own, which it gives back: all that locks do on the broker. Call it once when
    /// a service starts.
    ///
    /// Cancelled, it throws `cancelled`, and leaves nothing behind.
    /// - Parameter limit: how long to try.
    /// - Throws: `LockError`: `accessRefused`, `invalidConfiguration` and `incompatible` at once; `unreachable` when the time
    ///   is over; `cancelled`, `shutDown`.
    public func verify(within limit: Duration = .seconds(10)) async throws(LockError) {
        let name = try LockName("mqlock/verify/\(RandomID())")
        let record = try await contender.acquire(name, until: .now.after(max(.zero, limit)))
        _ = record.beginRelease()
        await contender.release(record, .released)
    }

    // MARK: Locking

    /// Waits for the lock and takes it; see the protocol for what cancellation and the deadline do.
    /// - Throws: `LockError`: `timedOut`, `cancelled`; `unreachable` when no session ever came up in time; `accessRefused`,
    ///   `incompatible`, `limitExceeded` and `shutDown` at once.
    public func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await front.acquire(name, within: limit)
    }

    /// Takes the lock if it is free; waits for a session, if there is none, but not for the lock.
    ///
    /// When a holder has died and this process has just started, it cannot know whether the holder lives: then the answer
    /// takes until the holder is heard of or its session is expired, ``Configuration/ttl`` and a fifth at most.
    /// - Throws: `LockError` as ``acquire(_:within:)``, but never `timedOut`: `unreachable` when no session comes up.
    public func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        try await front.tryAcquire(name)
    }
}

/// This process's contender for every name; ends the driver when nobody needs it any more.
final class LogContender: BrokerContender {
    let driver: LogDriver
    private static let attempts = Atomic<UInt64>(0)

    init(_ driver: LogDriver) { self.driver = driver }

    deinit {
        Task { [driver] in await driver.shutdown(until: .now) }
    }

    func acquire(_ name: LockName, until deadline: ContinuousClock.Instant?) async throws(LockError) -> LeaseRecord {
        guard let record = try await contend(name, isTry: false, until: deadline) else {
            preconditionFailure("a wait for \(name) ended without a lock")
        }
        return record
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> LeaseRecord? {
        try await contend(name, isTry: true, until: nil)
    }

    func release(_ record: LeaseRecord, _ ending: HoldEnding) async { await driver.release(record.id) }

    /// Asks over one session after the other.
    func ask(_ request: MarkRequest, within limit: Duration?) async throws(LockError) -> [DoneMark] {
        let deadline = limit.map { driver.clock.now.after(max(.zero, $0)) }
        let number = Self.attempts.wrappingAdd(1, ordering: .relaxed).newValue
        let cancellation = Cancellation()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { answer in
                driver.ask(
                    number, .init(request: request, deadline: deadline, cancellation: cancellation, answer: answer))
            }
        } onCancel: {
            // As below.
            cancellation.cancel()
            driver.giveUp(number)
        }
        return try result.get()
    }

    private func contend(
        _ name: LockName, isTry: Bool, until deadline: ContinuousClock.Instant?
    ) async throws(LockError) -> LeaseRecord? {
        let attempt = Self.attempts.wrappingAdd(1, ordering: .relaxed).newValue
        let cancellation = Cancellation()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { answer in
                driver.want(
                    attempt,
                    .init(name: name, isTry: isTry, deadline: deadline, cancellation: cancellation, answer: answer))
            }
        } onCancel: {
            // In this order: a wish that comes behind it finds the flag.
            cancellation.cancel()
            driver.giveUp(attempt)
        }
        return try result.get()
    }
}
