/// What a candidate does next: a value that takes events and answers with actions. No clock, no tasks.
///
/// Every event of a campaign and its leadership carries the term that it belongs to; one of an earlier term is ignored.
package struct CandidateMachine: Hashable, Sendable {
    package typealias Cause = LeadershipEnd.Kind

    package enum Phase: Hashable, Sendable {
        /// No candidate. To `campaigning`.
        case idle
        /// In line. To `leading`, `withdrawing`, `leaving`.
        case campaigning
        /// The campaign is being cancelled; a grant may be on its way. To `releasing`, `leaving`.
        case withdrawing(Cause)
        /// Leads, and the work runs. To `ending`, `releasing`.
        case leading
        /// The work has been asked to end. To `releasing`, and to `idle` when it ends too late for a stop.
        case ending(Cause)
        /// The work has ended; the leadership is being released. To `campaigning`, `leaving`.
        case releasing(Cause)
        /// Other candidates are let past. To `resting`, `idle`.
        case leaving(Cause)
        /// Backs off, or stands aside. To `campaigning`, `leaving`.
        case resting
    }

    package enum Event: Hashable, Sendable {
        /// Be a candidate; with `repeats`, until stopped.
        case start(repeats: Bool)
        case elected
        /// The campaign ended without an election.
        case refused(mayRetry: Bool)
        /// Resign, cede or stop.
        case asked(Cause)
        case unhealthy
        /// - `isFlap`: whether it counts as a leadership that may have ended too soon.
        case lost(isFlap: Bool)
        /// With `.finished` or `.failed`.
        case workEnded(Cause)
        case released(wasSteady: Bool)
        case left
        case rested
        /// What had to end has not ended in time.
        case overdue
    }

    package enum Action: Hashable, Sendable {
        case contend
        /// Cancel the campaign; `refused` or `elected` follows.
        case cancelCampaign
        case startWork
        /// `workEnded` follows, if it obeys.
        case cancelWork(Cause)
        case release
        case leave
        case backOff(attempt: Int)
        case standAside
        case cancelRest
        case tellOverdue
        /// The work goes on without us: release the leadership when it ends.
        case abandon
        case finish(Ending)
    }

    /// Why it is no longer a candidate.
    package enum Ending: Hashable, Sendable {
        case over(Cause)
        case refused
        /// Stopped, and something has not ended in time.
        case overdue
    }

    package private(set) var phase = Phase.idle
    /// Counts campaigns.
    package private(set) var term: UInt64 = 0
    private var repeats = false
    private var isFlap = false
    /// How many leaderships in a row have ended soon, or campaigns have failed.
    private var flaps = 0
    /// Whether to back off after it has let others past.
    private var rests = false

    /// A defect to build in, for testing tests.
    package enum Mutant: Sendable, CaseIterable {
        case releasesBeforeTheWorkHasEnded, campaignsAfterResigning, forgetsLateGrant, cedesWithoutLeaving,
            neverBacksOff
    }
    private let mutant: Mutant?

    package init(mutant: Mutant? = nil) { self.mutant = mutant }

    /// - Parameter term: the campaign that the event belongs to; `nil` for what comes from outside.
    package mutating func handle(_ event: Event, of term: UInt64? = nil) -> [Action] {
        if let term, term != self.term { return [] }
        switch (phase, event) {
        case (.idle, .start(let repeats)):
            self.repeats = repeats
            flaps = 0
            return campaign()

        case (.campaigning, .elected):
            phase = .leading
            return [.startWork]
        case (.campaigning, .refused(let mayRetry)):
            if mayRetry, repeats { countFlap() }
            return leave(.failed)
        case (.campaigning, .asked(let cause)) where cause != .ceded:
            phase = .withdrawing(cause)
            return [.cancelCampaign]

        case (.withdrawing(let cause), .elected):
            if mutant == .forgetsLateGrant { return leave(cause) }
            phase = .releasing(cause)
            return [.release]
        case (.withdrawing(let cause), .refused): return leave(cause)
        case (.withdrawing(let cause), .asked(let wish)):
            phase = .withdrawing(Self.stronger(cause, wish))
            return []

        case (.leading, .asked(let cause)): return end(cause)
        case (.leading, .unhealthy): return end(.unhealthy)
        case (.leading, .lost(let isFlap)):
            self.isFlap = isFlap
            return end(.lost)
        case (.leading, .workEnded(let cause)):
            isFlap = cause == .failed
            phase = .releasing(cause)
            return [.release]

        case (.ending(let cause), .asked(let wish)):
            phase = .ending(Self.stronger(cause, wish))
            return []
        case (.ending(let cause), .unhealthy):
            phase = .ending(Self.stronger(cause, .unhealthy))
            return []
        case (.ending(let cause), .workEnded):
            phase = .releasing(cause)
            return [.release]
        case (.ending(.stopped), .overdue):
            phase = .idle
            return [.tellOverdue, .abandon, .finish(.overdue)]
        case (.ending, .overdue): return [.tellOverdue]

        case (.releasing(let cause), .asked(let wish)):
            phase = .releasing(Self.stronger(cause, wish))
            return []
        case (.releasing(let cause), .released(let wasSteady)): return released(cause, wasSteady)

        case (.leaving(let cause), .asked(let wish)):
            phase = .leaving(Self.stronger(cause, wish))
            return []
        case (.leaving(let cause), .left): return left(cause)

        case (.releasing(.stopped), .overdue), (.leaving(.stopped), .overdue), (.withdrawing(.stopped), .overdue):
            phase = .idle
            return [.finish(.overdue)]

        case (.resting, .rested): return campaign()
        case (.resting, .asked(let cause)) where cause != .ceded:
            return [.cancelRest] + leave(cause)

        default: return []
        }
    }

    // MARK: Steps

    private mutating func campaign() -> [Action] {
        phase = .campaigning
        (isFlap, rests) = (false, false)
        term += 1
        return [.contend]
    }

    private mutating func end(_ cause: Cause) -> [Action] {
        if cause != .lost { isFlap = false }
        if mutant == .releasesBeforeTheWorkHasEnded {
            phase = .releasing(cause)
            return [.release, .cancelWork(cause)]
        }
        phase = .ending(cause)
        return [.cancelWork(cause)]
    }

    private mutating func released(_ cause: Cause, _ wasSteady: Bool) -> [Action] {
        if wasSteady { flaps = 0 }
        guard repeats else { return leave(cause) }
        switch cause {
        case .lost:
            guard isFlap, !wasSteady else { return campaign() }
            countFlap()
            // A single one is not flapping.
            if flaps > 1 { return leave(cause) }
            return campaign()
        case .failed: countFlap()
        default: break
        }
        return leave(cause)
    }

    private mutating func countFlap() {
        flaps += 1
        rests = true
    }

    private mutating func leave(_ cause: Cause) -> [Action] {
        if mutant == .cedesWithoutLeaving, cause == .ceded { return left(cause) }
        phase = .leaving(cause)
        return [.leave]
    }

    private mutating func left(_ cause: Cause) -> [Action] {
        if rests, cause == .lost || cause == .failed {
            if mutant == .neverBacksOff { return campaign() }
            phase = .resting
            return [.backOff(attempt: flaps)]
        }
        if repeats, cause == .ceded {
            phase = .resting
            return [.standAside]
        }
        if mutant == .campaignsAfterResigning, repeats, cause == .resigned { return campaign() }
        phase = .idle
        // The candidate survives failures of the body, so this one is a campaign's.
        return [.finish(cause == .failed ? .refused : .over(cause))]
    }

    /// Of two causes, the one that decides what comes next.
    private static func stronger(_ one: Cause, _ other: Cause) -> Cause {
        rank(other) > rank(one) ? other : one
    }

    private static func rank(_ cause: Cause) -> Int {
        switch cause {
        case .stopped: 5
        case .resigned: 4
        case .finished: 3
        case .unhealthy: 2
        case .ceded, .failed: 1
        default: 0
        }
    }
}
