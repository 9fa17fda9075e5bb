/// An instant as one number. `ContinuousClock.Instant` has a size that only the runtime knows, which makes everything slow
/// that stores one.
package struct CompactInstant: Comparable, Sendable {
    /// Nanoseconds after the first instant that this process has noted; within half of what 64 bits hold.
    package let nanoseconds: Int64

    private static let epoch = ContinuousClock.now

    /// Instants more than 146 years away count as that far away.
    package init(_ instant: ContinuousClock.Instant) {
        nanoseconds = min(max(Self.epoch.duration(to: instant).nanoseconds, .min / 2), .max / 2)
    }

    init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

    package var instant: ContinuousClock.Instant { Self.epoch.after(.nanoseconds(nanoseconds)) }

    package func after(_ duration: Duration) -> Self { Self(instant.after(duration)) }

    package static func < (one: Self, other: Self) -> Bool { one.nanoseconds < other.nanoseconds }
}

extension LockClock {
    /// The current instant.
    package var compactNow: CompactInstant { CompactInstant(now) }
}
