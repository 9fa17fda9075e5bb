/// How a candidate behaves.
public struct ElectionSettings: Sendable {
    /// Waits before a candidate campaigns again whose leaderships end soon: the first one, doubled each time, and the
    /// longest; half of each is random.
    public var backoff: ClosedRange<Duration>
    /// What has led for so long has not ended soon: its next wait is the first one again, or none.
    public var steadyAfter: Duration
    /// How long before the end of its proof a leadership is given up, so that the body can end while nobody else can
    /// lead; at most a quarter of the proof.
    public var stopNotice: Duration
    /// How long a body may go on after its cancellation before that is told as `overdue`, and before a
    /// cancelled ``Election/run(_:)`` returns nevertheless.
    public var stopTimeout: Duration
    /// How long a candidate that has ceded stands aside when nobody else comes to lead. Not used where candidates are
    /// served first come, first served: there, to campaign again is to stand behind all others.
    public var standAside: Duration
    /// How to see that a leader gets on with its work; `nil` takes it for granted.
    public var health: Health?

    /// The usual behaviour.
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

    /// How to see that a leader gets on with its work. One that does not resigns, and ``Election/run(_:)`` throws.
    public struct Health: Sendable {
        enum Value: Sendable {
            case progress(within: Duration)
            case probe(every: Duration, within: Duration, @Sendable () async -> Bool)
        }
        let value: Value

        /// The body has to call ``Leadership/madeProgress()`` at least each so often.
        public static func progress(within limit: Duration) -> Self { Self(value: .progress(within: limit)) }

        /// `isHealthy` is asked so often, and has to answer with true in time.
        public static func probe(
            every interval: Duration, within limit: Duration, _ isHealthy: @escaping @Sendable () async -> Bool
        ) -> Self {
            Self(value: .probe(every: interval, within: limit, isHealthy))
        }
    }

    /// The wait before the next campaign.
    /// - Parameters:
    ///   - attempt: how many leaderships in a row have ended soon; 1 or more.
    ///   - random: 0 to 1.
    func delay(attempt: Int, random: Double) -> Duration {
        let first = max(.milliseconds(1), backoff.lowerBound)
        var delay = first
        for _ in 1..<max(1, min(attempt, 62)) where delay < backoff.upperBound { delay = delay * 2 }
        delay = max(first, min(delay, backoff.upperBound))
        return delay / 2 + .nanoseconds(Int64(Double((delay / 2).nanoseconds) * random))
    }
}
