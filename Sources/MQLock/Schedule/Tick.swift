/// A moment of a schedule for which this program does the job.
public struct Tick: Sendable {
    /// The moment, in milliseconds since 1970. It may have passed: there may have been a wait for the lock.
    public let time: Int64
    /// The lock that is held meanwhile.
    public let lease: Lease

    /// The key under which the tick is marked as done: its time in UTC as in ISO 8601, `2026-11-30T03:00:00Z`. It is
    /// the same in all programs and time zones; give it to the resource to make *at least once* exactly once.
    public var key: String { Period(.tick(time)).description }
}

/// Thrown in place of a job whose time was over when the lock was granted.
struct TickIsOver: Error {}
