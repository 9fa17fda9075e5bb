/// Receives every event of a provider, for logs, metrics and traces.
///
/// Called one event at a time, on a thread of its own, and never while a lock of this package is held: an observer may
/// block, and then delays only itself. Events wait in a bounded buffer. When an observer is too slow, further events
/// are dropped, and the next event reports their number (``LockEvent/droppedBefore``). To give a provider more than one
/// observer, use ``LockObserverGroup``.
public protocol LockObserver: Sendable {
    /// Receives one event.
    func observe(_ event: LockEvent)
}

/// Several observers as one, none of which waits for another: each has a thread and a buffer of its own.
///
/// ```swift
/// let metrics = LockMetrics()
/// let locks = try RabbitMQLocks(configuration, observer: LockObserverGroup([metrics, log]))
/// ```
public final class LockObserverGroup: LockObserver {
    private let relays: [ObserverRelay]

    /// Makes the group.
    /// - Parameters:
    ///   - observers: each gets every event, in the same order.
    ///   - capacity: how many events wait at most for each; further ones are dropped for that observer alone.
    public init(_ observers: [any LockObserver], capacity: Int = 4096) {
        relays = observers.map { ObserverRelay($0, capacity: capacity) }
    }

    /// Passes the event on and returns at once.
    public func observe(_ event: LockEvent) {
        for relay in relays { relay.forward(event) }
    }
}
