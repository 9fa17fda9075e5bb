/// How often in a row something did not come up or did not last. Coming up and ending at once is a failure, too: only
/// what has lasted makes the next pause short again.
struct FailureCount: Sendable {
    private(set) var count = 0
    private var upSince: ContinuousClock.Instant?

    /// It is up, for now.
    mutating func cameUp(at now: ContinuousClock.Instant) { upSince = now }

    /// It has ended, or did not come up.
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
