/// How often in a row something did not come up, or did not last. What comes up and dies at once has failed as well: only
/// what has lasted makes the next pause a short one again.
struct FailureCount: Sendable {
    private(set) var count = 0
    private var upSince: ContinuousClock.Instant?

    /// It works, for now.
    mutating func cameUp(at now: ContinuousClock.Instant) { upSince = now }

    /// It is gone, or did not come up.
    /// - Parameter enough: what counts as lasting.
    /// - Returns: whether it had lasted.
    @discardableResult
    mutating func ended(at now: ContinuousClock.Instant, lasting enough: Duration) -> Bool {
        let hasLasted = upSince.map { $0.duration(to: now) >= enough } ?? false
        upSince = nil
        count = hasLasted ? 1 : min(count, .max - 1) + 1
        return hasLasted
    }
}
