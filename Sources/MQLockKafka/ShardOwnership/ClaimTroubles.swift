import MQLock

/// What keeps shards from being owned, and when people are to hear of it: not of each attempt that fails, which some always
/// do while the group or the cluster settles, but of what lasts.
struct ClaimTroubles {
    /// For how long attempts have to have failed before that is worth a word.
    let patience: Duration
    /// After which the same is told again, as long as it lasts.
    let interval: Duration
    private var since: ContinuousClock.Instant?
    private var told: (text: String, at: ContinuousClock.Instant)?

    init(session: Duration) { (patience, interval) = (session / 4, session) }

    /// An attempt has failed.
    /// - Parameters:
    ///   - begun: when the attempt began.
    ///   - now: when it failed.
    /// - Returns: whether that is to be told.
    mutating func failed(
        _ error: LockError, begun: ContinuousClock.Instant, now: ContinuousClock.Instant
    ) -> Bool {
        let since = since ?? begun
        self.since = since
        guard since.duration(to: now) >= patience else { return false }
        if let told, told.text == error.message, told.at.duration(to: now) < interval { return false }
        told = (error.message, now)
        return true
    }

    /// An attempt has come to a good end, or there is nothing to be attempted.
    mutating func ended() { (since, told) = (nil, nil) }
}
