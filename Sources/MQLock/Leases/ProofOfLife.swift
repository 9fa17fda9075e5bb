import Synchronization

/// Until when the broker cannot have given this session's locks to anyone else; for adapters.
///
/// One per session, shared by all its leases, so a renewal is one atomic store however many locks are held. Once ended
/// it stays ended: an answer that comes after the deadline revives nothing, even when nothing has checked in between.
/// The adapter decides what extends it: the *sending* instant of a request that the broker has answered, plus the
/// shortest time after which the broker can hand a lock to someone else, less a margin. Never the instant at which the
/// answer came.
public final class ProofOfLife: Sendable {
    /// The clock by which it stands.
    public let clock: any LockClock
    /// A `CompactInstant` times two, plus one when the proof has ended. Both are in one word, so the end and its
    /// time are known together, also to a thread that was stopped while it came.
    private let until: Atomic<Int64>
    private static let ended: Int64 = 1
    /// When it was made: if a broker has forgotten its sessions, it did so before.
    package let beganAt: ContinuousClock.Instant

    /// A proof that stands until this instant, which is at most a hundred years ahead.
    public init(until: ContinuousClock.Instant, clock: any LockClock = SystemLockClock()) {
        self.clock = clock
        beganAt = clock.now
        self.until = Atomic(Self.word(until))
    }

    /// Whether the proof stands at this instant. Noticing that it has run out ends it for good.
    public var isAlive: Bool { nanosecondsLeft(at: nil) > 0 }

    /// How long the proof still stands; zero when it has ended.
    public var remaining: Duration { .nanoseconds(nanosecondsLeft(at: nil)) }

    /// How long the proof stands after this instant, which the clock has just shown; zero when it has ended.
    /// - Parameter instant: nil to read the clock after the proof, so that a thread that was stopped is not deceived.
    func nanosecondsLeft(at instant: CompactInstant?) -> Int64 {
        var seen = until.load(ordering: .acquiring)
        while seen & Self.ended == 0 {
            let left = seen >> 1 - (instant ?? clock.compactNow).nanoseconds
            if left > 0 { return left }
            let (exchanged, current) = until.compareExchange(
                expected: seen, desired: seen | Self.ended, ordering: .acquiringAndReleasing)
            if exchanged { break }
            seen = current
        }
        return 0
    }

    /// The instant up to which the session is proven, or nil when it has ended.
    package var provenUntil: ContinuousClock.Instant? {
        let seen = until.load(ordering: .acquiring)
        return seen & Self.ended == 0 ? Self.instant(seen) : nil
    }

    /// The instant at which the proof ended, however late that was noticed. Before its end, the instant at which it
    /// ends if it is not extended.
    package var endsAt: ContinuousClock.Instant { Self.instant(until.load(ordering: .acquiring)) }

    /// Extends the proof; false when it had already run out, which is then final. Never shortens it.
    @discardableResult
    public func extend(to instant: ContinuousClock.Instant) -> Bool {
        let wanted = Self.word(instant)
        var seen = until.load(ordering: .acquiring)
        while true {
            if seen & Self.ended != 0 { return false }
            let next = seen >> 1 <= clock.compactNow.nanoseconds ? seen | Self.ended : max(seen, wanted)
            let (exchanged, current) = until.compareExchange(
                expected: seen, desired: next, ordering: .acquiringAndReleasing)
            if exchanged { return next & Self.ended == 0 }
            seen = current
        }
    }

    /// Ends the proof now: the session is gone.
    public func end() {
        var seen = until.load(ordering: .acquiring)
        while seen & Self.ended == 0 {
            let (exchanged, current) = until.compareExchange(
                expected: seen, desired: min(seen, Self.word(clock.now)) | Self.ended,
                ordering: .acquiringAndReleasing)
            if exchanged { return }
            seen = current
        }
    }

    private static func word(_ instant: ContinuousClock.Instant) -> Int64 { CompactInstant(instant).nanoseconds << 1 }

    private static func instant(_ word: Int64) -> ContinuousClock.Instant {
        CompactInstant(nanoseconds: word >> 1).instant
    }
}
