/// Brings events from wherever they happen to the observer: in order, off the caller's thread, bounded.
package final class ObserverRelay: Sendable {
    private let continuation: AsyncStream<LockEvent>.Continuation?
    private let dropped = Locked(0)

    /// - Parameter capacity: how many events wait at most for a slow observer.
    package init(_ observer: (any LockObserver)?, capacity: Int = 4096) {
        guard let observer else {
            continuation = nil
            return
        }
        let (stream, continuation) = AsyncStream.makeStream(
            of: LockEvent.self, bufferingPolicy: .bufferingOldest(capacity))
        self.continuation = continuation
        Task {
            for await event in stream { observer.observe(event) }
        }
    }

    deinit { continuation?.finish() }

    /// Whether anybody listens: lets callers skip making the event.
    package var isActive: Bool { continuation != nil }

    package func send(_ event: @autoclosure () -> LockEvent) {
        guard let continuation else { return }
        dropped.withLock { dropped in
            var event = event()
            event.droppedBefore = dropped
            switch continuation.yield(event) {
            case .dropped: dropped += 1
            default: dropped = 0
            }
        }
    }
}
