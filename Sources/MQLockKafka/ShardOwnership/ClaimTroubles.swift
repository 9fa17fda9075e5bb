import MQLock

/// What keeps shards from being owned, and when to report it: not each failed attempt, since some always fail while the
/// group or the cluster settles, but trouble that lasts.
struct ClaimTroubles {
    /// How long attempts have to fail before the trouble is reported.
    let patience: Duration
    /// After this time the same trouble is reported again, as long as it lasts.
    let interval: Duration
    private var since: ContinuousClock.Instant?
    private var reported: (text: String, at: ContinuousClock.Instant)?

    init(session: Duration) { (patience, interval) = (session / 4, session) }

    /// An attempt has failed.
    /// - Parameters:
    ///   - begun: when the attempt began.
    ///   - now: when it failed.
    /// - Returns: whether to report it.
    mutating func failed(
        _ error: LockError, begun: ContinuousClock.Instant, now: ContinuousClock.Instant
    ) -> Bool {
        let since = since ?? begun
        self.since = since
        guard since.duration(to: now) >= patience else { return false }
        if let reported, reported.text == error.message, reported.at.duration(to: now) < interval { return false }
        reported = (error.message, now)
        return true
    }

    /// An attempt has succeeded, or there is nothing to attempt.
    mutating func ended() { (since, reported) = (nil, nil) }
}
