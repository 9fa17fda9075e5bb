import MQLock

/// The durations that the sessions of an in-memory broker use.
struct InMemoryTiming: Sendable {
    let sessionTimeout: Duration
    let margin: Duration
    let requestTimeout: Duration

    init(sessionTimeout: Duration, margin: Duration?, requestTimeout: Duration?) {
        let sessionTimeout = sessionTimeout.bounded
        self.sessionTimeout = sessionTimeout
        self.margin = margin ?? max(.milliseconds(200), sessionTimeout / 10)
        self.requestTimeout = requestTimeout ?? sessionTimeout / 2
        precondition(
            self.margin >= .zero && self.margin < sessionTimeout / 2 && self.requestTimeout > .zero,
            "a margin is less than half the session timeout, and a request timeout is positive")
    }

    /// Counted from the sending of the last answered request: the shortest time after which the broker can hand the
    /// session's locks to someone else, less the margin.
    var proofLength: Duration { sessionTimeout - margin }
    var renewalInterval: Duration { sessionTimeout / 4 }
    /// Longer than one renewal can take, shorter than the proof.
    var suspectAfter: Duration { sessionTimeout / 2 }
    var reconnectDelay: Duration { sessionTimeout / 20 }
}
