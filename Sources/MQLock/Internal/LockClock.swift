/// The clock that decides validity: monotonic, and counting while the machine is suspended.
///
/// ``SystemLockClock`` is what services use; MQLockTesting has one that a test can move.
public protocol LockClock: Sendable {
    /// The current instant.
    var now: ContinuousClock.Instant { get }
    /// Returns at the deadline or later; throws `CancellationError` when the task is cancelled before.
    func sleep(until deadline: ContinuousClock.Instant) async throws
}

/// `ContinuousClock`, on Linux CLOCK_BOOTTIME: it continues while a process is stopped or a machine sleeps.
public struct SystemLockClock: LockClock {
    /// Makes the clock; all of them show the same time.
    public init() {}

    /// The current instant.
    public var now: ContinuousClock.Instant { ContinuousClock.now }

    /// Returns at the deadline or later; throws `CancellationError` when the task is cancelled before.
    public func sleep(until deadline: ContinuousClock.Instant) async throws {
        // The runtime counts nanoseconds in 64 bits, and traps beyond them.
        try await Task.sleep(until: min(deadline, now.after(.longest)), clock: .continuous)
    }
}
