import MQLock

/// A call at an instant. With a manual clock, ``ManualClock/advance(by:)`` makes the call itself, so it has happened
/// when `advance` returns; with any other clock, a sleeping task makes it.
struct Alarm: Sendable {
    let deadline: ContinuousClock.Instant
    private let stop: @Sendable () -> Void

    init(
        at deadline: ContinuousClock.Instant, on clock: any LockClock, _ action: @escaping @Sendable () -> Void
    ) {
        self.deadline = deadline
        if let manual = clock as? ManualClock {
            let number = manual.schedule(at: deadline, action)
            stop = { manual.cancel(number) }
        } else {
            let task = Task {
                do { try await clock.sleep(until: deadline) } catch { return }
                action()
            }
            stop = { task.cancel() }
        }
    }

    func cancel() { stop() }
}
