import MQLock

/// Notifies the observers of locks on owned shards that the group has confirmed the ownership again.
final class Renewals: Sendable {
    private struct Listener {
        weak var relay: ObserverRelay?
    }

    private let listeners = Locked<[Listener]>([])

    /// Notifies `relay` for as long as it exists.
    func add(_ relay: ObserverRelay) {
        guard relay.isActive else { return }
        listeners.withLock { listeners in
            listeners.removeAll { $0.relay == nil }
            listeners.append(Listener(relay: relay))
        }
    }

    func tell(_ event: @autoclosure () -> LockEvent) {
        let relays = listeners.withLock { $0.compactMap(\.relay) }
        guard !relays.isEmpty else { return }
        let event = event()
        for relay in relays { relay.send(event) }
    }
}
