/// One deadline for everything that a call waits for.
struct Deadline: Sendable {
    private let clock: any LockClock
    private let instant: ContinuousClock.Instant?

    /// - Parameter limit: how long the call may take; nil for no limit.
    init(within limit: Duration?, _ clock: any LockClock) {
        self.clock = clock
        instant = limit.map { clock.now.after(max(.zero, $0)) }
    }

    /// How long the call may still wait; nil for no limit.
    var left: Duration? { instant.map { max(.zero, clock.now.duration(to: $0)) } }
}
