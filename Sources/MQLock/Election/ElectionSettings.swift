/// How a candidate behaves.
public struct ElectionSettings: Sendable {
    /// Waits before a candidate whose leaderships end soon campaigns again: the first one, doubled each time, and the
    /// longest; half of each is random.
    public var backoff: ClosedRange<Duration>
    /// A leadership that has lasted this long has not ended soon: its next wait is the first one again, or none.
    public var steadyAfter: Duration
    /// How long before the end of its proof a leadership is given up; the body can then end while no one else can lead.
    /// At most a quarter of the proof.
    public var stopNotice: Duration
    /// How long a body may go on after its cancellation before it is reported as `overdue`, and before a cancelled
    /// ``Election/run(_:)`` returns anyway.
    public var stopTimeout: Duration
    /// How long a candidate that has ceded stands aside when no one else comes to lead. Not used where candidates are
    /// served first come, first served: there, campaigning again means standing behind all others.
    public var standAside: Duration
    /// How to check that a leader makes progress with its work; `nil` assumes it.
    public var health: Health?

    /// The usual behavior.
    public init(
        backoff: ClosedRange<Duration> = .milliseconds(100) ... .seconds(30), steadyAfter: Duration = .seconds(10),
        stopNotice: Duration = .seconds(1), stopTimeout: Duration = .seconds(10), standAside: Duration = .seconds(5),
        health: Health? = nil
    ) {
        self.backoff = backoff
        self.steadyAfter = steadyAfter
        self.stopNotice = stopNotice
        self.stopTimeout = stopTimeout
        self.standAside = standAside
        self.health = health
    }

    /// Refuses values that make no sense.
    /// - Throws: `LockError` with code `invalidConfiguration`.
    package func check() throws(LockError) {
        try backoff.lowerBound.require(.positive, "the first delay of backoff")
        try steadyAfter.require(.notNegative, "steadyAfter")
        try stopNotice.require(.notNegative, "stopNotice")
        try stopTimeout.require(.notNegative, "stopTimeout")
        try standAside.require(.notNegative, "standAside")
        switch health?.value {
        case .progress(let limit): try limit.require(.positive, "the time for progress")
        case .probe(let interval, let limit, _):
            try interval.require(.positive, "the time between two probes")
            try limit.require(.positive, "the time for the answer of a probe")
        case nil: break
        }
    }

    /// How to check that a leader makes progress with its work. If it does not, it resigns, and ``Election/run(_:)``
    /// throws.
    public struct Health: Sendable {
        enum Value: Sendable {
            case progress(within: Duration)
            case probe(every: Duration, within: Duration, @Sendable () async -> Bool)
        }
        let value: Value

        /// The body has to call ``Leadership/madeProgress()`` at least this often.
        public static func progress(within limit: Duration) -> Self { Self(value: .progress(within: limit)) }

        /// `isHealthy` is asked this often, and has to answer with true in time.
        public static func probe(
            every interval: Duration, within limit: Duration, _ isHealthy: @escaping @Sendable () async -> Bool
        ) -> Self {
            Self(value: .probe(every: interval, within: limit, isHealthy))
        }
    }
}
