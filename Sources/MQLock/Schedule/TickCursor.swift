/// Which tick is next, by what a machine's clock shows. Times are in milliseconds since 1970.
struct TickCursor {
    enum Step: Hashable {
        /// Nothing is due before this moment; nil when nothing ever is.
        case wait(until: Int64?)
        /// This tick is skipped, and so are those before it.
        case miss(Int64)
        /// This tick is due. ``ended(_:at:)`` has to follow.
        case run(Int64)
    }

    /// A program that waits for a tick is never this late unless it was stopped or the clock was moved.
    static let tolerance: Int64 = 60_000
    /// Marks of older ticks may have been forgotten.
    static let oldest = Period.longest.nanoseconds / 1_000_000

    private let schedule: Schedule
    private let missed: MissedTicks
    /// Ticks up to here are done with.
    private var settled: Int64

    init(_ schedule: Schedule, _ missed: MissedTicks, at now: Int64) {
        (self.schedule, self.missed) = (schedule, missed)
        settled = missed == .skip ? now : .min
    }

    mutating func step(at now: Int64) -> Step {
        // The clock was set back. The marks say whether its ticks have been done.
        settled = min(settled, now)
        guard let newest = schedule.latest(upTo: now, after: max(settled, now - Self.oldest)) else {
            return .wait(until: schedule.next(after: now))
        }
        guard missed == .runOnce || now - newest <= Self.tolerance else {
            settled = newest
            return .miss(newest)
        }
        return .run(newest)
    }

    /// A tick has been done, by any program, or will not be.
    /// - Returns: the last tick that was missed meanwhile, if any.
    mutating func ended(_ tick: Int64, at now: Int64) -> Int64? {
        settled = tick
        guard missed == .skip, let newest = schedule.latest(upTo: now, after: tick) else { return nil }
        settled = newest
        return newest
    }
}
