/// Up to when the queue itself proves a place in its line, with `proof=quorum`. A pure value.
///
/// A token that was published through the queue, confirmed and delivered back shows that at some time after its sending
/// the queue had a majority and served us. As with the proof of a session only the instant of sending counts.
struct QueueProof: Sendable {
    /// How long a completed publish proves, from its sending.
    let window: Duration
    private var sent: (nonce: Nonce, at: ContinuousClock.Instant)?

    init(window: Duration) { self.window = window }

    /// A token is about to be published; only the latest one counts.
    mutating func sending(_ nonce: Nonce, at now: ContinuousClock.Instant) { sent = (nonce, now) }

    /// Whether what this token could prove is over.
    func isLate(_ nonce: Nonce, at now: ContinuousClock.Instant) -> Bool {
        guard let sent, sent.nonce == nonce else { return true }
        return sent.at.advanced(by: window) <= now
    }

    /// The token is confirmed and delivered. Returns up to when it proves the place; nil when it is not the latest.
    func completed(_ nonce: Nonce) -> ContinuousClock.Instant? {
        guard let sent, sent.nonce == nonce else { return nil }
        return sent.at.advanced(by: window)
    }
}
