import MQLock

/// Keeps every event of a provider and lets tests wait for one.
final class EventLog: LockObserver {
    private struct Storage {
        var events: [LockEvent] = []
        var waiters: [(matches: @Sendable (LockEvent) -> Bool, found: OneShot<LockEvent>)] = []
    }

    private let storage = Locked(Storage())

    func observe(_ event: LockEvent) {
        let found = storage.withLock { storage in
            storage.events.append(event)
            let found = storage.waiters.filter { $0.matches(event) }
            storage.waiters.removeAll { $0.matches(event) }
            return found
        }
        for waiter in found { waiter.found.fulfil(event) }
    }

    var events: [LockEvent] { storage.withLock { $0.events } }

    /// The first event of this kind, of the past or to come.
    func first(
        _ kind: LockEvent.Kind, after count: Int = 0, within limit: Duration = .seconds(30),
        where matches: @escaping @Sendable (LockEvent) -> Bool = { _ in true }
    ) async throws -> LockEvent {
        let found = OneShot<LockEvent>()
        let matches: @Sendable (LockEvent) -> Bool = { $0.kind == kind && matches($0) }
        storage.withLock { storage in
            if let event = storage.events.dropFirst(count).first(where: matches) {
                found.fulfil(event)
            } else {
                storage.waiters.append((matches, found))
            }
        }
        return try await found.value(within: limit, "an event \(kind)")
    }
}
