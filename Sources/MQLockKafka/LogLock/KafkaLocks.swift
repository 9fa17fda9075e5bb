public import MQLock
import Synchronization

/// Locks on a Kafka topic: any process can acquire any name. Waiters are served in order of arrival.
///
/// The topic is a log that every contender reads from end to end. Its records alone determine who holds a lock. There
/// is no consumer group and there are no transactions, so no process is interrupted when others come and go. The
/// article <doc:LogLock> describes what happens on the topic, how to set it up and what it costs.
///
/// ```swift
/// let locks = try KafkaLocks(.init(connection: .init(brokers: ["broker:9092"]), topic: "locks"))
/// try await locks.withLock("nightly-report") { lease in
///     try await write(report, fence: lease.fencingToken)
/// }
/// await locks.shutdown()
/// ```
///
/// A provider connects when it is first used, and reconnects by itself. Use one per program and share it.
public final class KafkaLocks: LockProvider {
    /// What this provider can do and promise.
    public let capabilities = LockCapabilities(mutex: "log")

    private let front: LockFront
    let contender: LogContender
    private let configuration: Configuration

    /// Creates a provider; no I/O happens before the first use or ``run()``.
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

    /// Keeps the provider running until the calling task is cancelled or ``shutdown(within:)`` is called. Then it
    /// drains: waiting contenders are turned away, and holders have ``Configuration/drainTimeout`` to release. What is
    /// still held after that is lost with the reason `shutdown`.
    /// - Throws: `LockError` when the first question to the cluster shows that no lock could ever be acquired:
    ///   `accessRefused`, `invalidConfiguration`, or `incompatible` without a topic of so many partitions. Problems
    ///   that may pass, such as a broker that is down, are waited for.
    public func run() async throws {
        if case .failure(let error) = await contender.driver.look(at: 0), error.code != .unreachable { throw error }
        await withTaskCancellationHandler {
            await contender.driver.ended()
        } onCancel: {
            Task { [self] in await shutdown() }
        }
    }

    /// Turns waiting contenders away, waits for holders to release, and ends the sessions. Cancellation does not cut it
    /// short.
    /// - Parameter limit: how long to wait for holders; `nil` means ``Configuration/drainTimeout``. What is still held
    ///   then is lost with the reason `shutdown`.
    public func shutdown(within limit: Duration? = nil) async {
        let limit = max(.zero, limit ?? configuration.drainTimeout)
        await contender.driver.shutdown(until: .now.after(limit))
    }

    // MARK: Health

    /// Whether a session is up: it has proven in time that it lives. No I/O, so it suits a readiness check. A session
    /// that has been idle for a minute is closed, and opened again when a lock is to be acquired.
    public var isConnected: Bool { contender.driver.health.isConnected }

    /// Why the last attempt to connect failed or the last session ended; `nil` while a session is up, and before the
    /// first attempt.
    public var lastError: LockError? { contender.driver.health.lastError }

    /// Opens a session, then acquires and releases a lock of its own: all that locks do on the broker. Call it once
    /// when a service starts.
    ///
    /// When cancelled, it throws `cancelled` and leaves nothing behind.
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

    /// Waits for the lock and acquires it. The lock protocol says what cancellation and the deadline do.
    /// - Throws: `LockError`: `timedOut`, `cancelled`; `unreachable` when no session ever came up in time; `accessRefused`,
    ///   `incompatible`, `limitExceeded` and `shutDown` at once.
    public func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await front.acquire(name, within: limit)
    }

    /// Acquires the lock if it is free. It waits for a session if there is none, but not for the lock.
    ///
    /// When a holder has died and this process has just started, this process cannot know whether the holder lives.
    /// Then the answer takes until a record of the holder is read or its session expires: ``Configuration/ttl`` and a
    /// fifth at most.
    /// - Throws: `LockError` as ``acquire(_:within:)``, but never `timedOut`: `unreachable` when no session comes up.
    public func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        try await front.tryAcquire(name)
    }
}

/// This process's contender for every name. Ends the driver when it is no longer needed.
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

    /// Sends the request again over each new session until it is answered.
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
            // In this order: a request that comes after it finds the flag.
            cancellation.cancel()
            driver.giveUp(attempt)
        }
        return try result.get()
    }
}
