import MQLock

/// Passes events on and keeps them, so that a test can await that something was counted.
final class Tap: LockObserver {
    private let observer: any LockObserver
    private let storage = Locked<[LockEvent]>([])

    init(_ observer: any LockObserver) { self.observer = observer }

    func observe(_ event: LockEvent) {
        observer.observe(event)
        storage.withLock { $0.append(event) }
    }

    var events: [LockEvent] { storage.withLock { $0 } }

    /// Looks again when more has come; leaves the others their turns.
    func seen(_ condition: ([LockEvent]) -> Bool) async {
        while !condition(events) { try? await Task.sleep(for: .milliseconds(2)) }
    }
}
