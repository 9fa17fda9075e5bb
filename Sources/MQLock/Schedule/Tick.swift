/// A moment of a schedule for which this program does the job.
public struct Tick: Sendable {
    /// The moment, in milliseconds since 1970. It may be past: the lock may have been waited for.
    public let time: Int64
    /// The lock that is held meanwhile.
    public let lease: Lease

    /// What the tick is marked as done under: its time in UTC as ISO 8601 has it, `2026-11-30T03:00:00Z`. All programs and time
    /// zones have the same; give it to the resource to make *at least once* exactly once.
    public var key: String { Period(.tick(time)).description }
}

/// Thrown in place of a job whose time was over when the lock was granted.
struct TickIsOver: Error {}
