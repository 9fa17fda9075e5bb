import Synchronization

/// Until when the broker cannot have given this session's locks to anyone else.
///
/// One per session, shared by all its leases, so that a renewal is one atomic store however many locks are held. Once
/// ended it stays ended: an answer that comes after the deadline revives nothing, even when nobody has looked in
/// between. That is the whole of rule 4's local half; what may extend it is the adapter's business.
package final class ProofOfLife: Sendable {
    package let clock: any LockClock
    /// Nanoseconds after `epoch`, or `ended`.
    private let until: Atomic<Int64>
    private static let ended = Int64.min
    private static let epoch = ContinuousClock.now

    package init(until: ContinuousClock.Instant, clock: any LockClock = SystemLockClock()) {
        self.clock = clock
        self.until = Atomic(Self.offset(until))
    }

    /// Whether the proof stands at this instant. Noticing that it has run out ends it for good.
    package var isAlive: Bool { remaining > .zero }

    /// How long the proof still stands; zero when it has ended.
    package var remaining: Duration {
        var seen = until.load(ordering: .acquiring)
        while seen != Self.ended {
            let left = seen - Self.offset(clock.now)
            if left > 0 { return .nanoseconds(left) }
            let (exchanged, current) = until.compareExchange(
                expected: seen, desired: Self.ended, ordering: .acquiringAndReleasing)
            if exchanged { break }
            seen = current
        }
        return .zero
    }

    /// The instant up to which the session is proven, or nil when it has ended.
    package var provenUntil: ContinuousClock.Instant? {
        let seen = until.load(ordering: .acquiring)
        return seen == Self.ended ? nil : Self.epoch.advanced(by: .nanoseconds(seen))
    }

    /// Extends the proof; false when it had already run out, which then is final. Never shortens.
    @discardableResult
    package func extend(to instant: ContinuousClock.Instant) -> Bool {
        let wanted = Self.offset(instant)
        var seen = until.load(ordering: .acquiring)
        while true {
            if seen == Self.ended { return false }
            let next = seen <= Self.offset(clock.now) ? Self.ended : max(seen, wanted)
            let (exchanged, current) = until.compareExchange(
                expected: seen, desired: next, ordering: .acquiringAndReleasing)
            if exchanged { return next != Self.ended }
            seen = current
        }
    }

    /// Ends the proof now: the session is gone.
    package func end() {
        until.store(Self.ended, ordering: .releasing)
    }

    private static func offset(_ instant: ContinuousClock.Instant) -> Int64 {
        epoch.duration(to: instant).nanoseconds
    }
}
