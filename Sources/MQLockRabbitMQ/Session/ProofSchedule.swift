import MQLock

/// When to ask the broker for a proof of life, and what its answers prove. A pure value.
///
/// Answers come in the order of the requests, so each answers the oldest open request. Only the instant of sending
/// counts: an answer shows that the broker was alive some time after that, but not when.
struct ProofSchedule: Sendable {
    /// How long an answer proves the session, from the sending of its request.
    let window: Duration
    /// The time between requests: a quarter of the heartbeat.
    let interval: Duration
    private var unanswered: [ContinuousClock.Instant] = []
    private(set) var nextRequest: ContinuousClock.Instant

    init(window: Duration, heartbeat: Duration, start: ContinuousClock.Instant) {
        self.window = window
        interval = heartbeat / 4
        nextRequest = start
    }

    /// A request is about to be written.
    mutating func sending(at now: ContinuousClock.Instant) {
        unanswered.append(now)
        nextRequest = now.after(interval)
    }

    /// An answer came. Returns until when it proves the session; nil if no request was open.
    mutating func answered() -> ContinuousClock.Instant? {
        unanswered.isEmpty ? nil : unanswered.removeFirst().after(window)
    }

    /// Whether an answer is overdue: the next request is due, and the previous one has no answer.
    func isOverdue(at now: ContinuousClock.Instant) -> Bool {
        unanswered.first.map { $0.after(interval) <= now } ?? false
    }
}
