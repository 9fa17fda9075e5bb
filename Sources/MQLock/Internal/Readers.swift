import Synchronization

/// Streams of the same events for any number of readers; keep it behind a lock, which keeps the order.
///
/// A reader that does not keep up misses the oldest events. One that has gone is forgotten with the next event or reader.
package struct Readers<Event: Sendable>: Sendable {
    private final class Reader: Sendable {
        let continuation: AsyncStream<Event>.Continuation
        let isGone = Atomic(false)

        init(_ continuation: AsyncStream<Event>.Continuation) { self.continuation = continuation }
    }

    private var readers: [Reader] = []

    package init() {}

    /// How many readers there are, as far as is known.
    package var count: Int { readers.count }

    /// A new reader, which gets `first` before all events.
    package mutating func add(beginningWith first: [Event] = []) -> AsyncStream<Event> {
        let (stream, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingNewest(1024))
        let reader = Reader(continuation)
        // This may run inside a task's cancellation, which holds a lock of the runtime: so it takes none.
        continuation.onTermination = { [weak reader] _ in reader?.isGone.store(true, ordering: .relaxed) }
        for event in first { continuation.yield(event) }
        forgetGone()
        readers.append(reader)
        return stream
    }

    /// Runs no code of the readers.
    package mutating func tell(_ event: Event) {
        forgetGone()
        for reader in readers { reader.continuation.yield(event) }
    }

    /// Ends all streams.
    package mutating func finish() {
        for reader in readers { reader.continuation.finish() }
        readers = []
    }

    private mutating func forgetGone() { readers.removeAll { $0.isGone.load(ordering: .relaxed) } }
}
