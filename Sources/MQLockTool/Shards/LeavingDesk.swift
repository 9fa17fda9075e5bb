/// The meaning of a signal to `mqlock shards` at this moment.
struct LeavingDesk {
    enum Action: Equatable { case leave, ignore, quit }

    /// Programs that end others often signal twice: timeout(1) signals its child, and then its whole group.
    static let grace = Duration.seconds(1)

    private var first: ContinuousClock.Instant?

    mutating func received(at now: ContinuousClock.Instant) -> Action {
        guard let first else {
            first = now
            return .leave
        }
        return first.duration(to: now) < Self.grace ? .ignore : .quit
    }
}
