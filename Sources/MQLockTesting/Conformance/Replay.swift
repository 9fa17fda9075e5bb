import MQLock

/// Values as they come, for any number of readers; each reader gets all of them from the first.
final class Replay<Value: Sendable>: Sendable {
    private struct State {
        var values: [Value] = []
        var readers: [AsyncStream<Value>.Continuation] = []
    }

    private let state = Locked(State())

    func send(_ value: Value) {
        state.withLock { state in
            state.values.append(value)
            for reader in state.readers { reader.yield(value) }
        }
    }

    var soFar: [Value] { state.withLock { $0.values } }

    /// Waits for the first value that fits; nil when the task is cancelled before.
    func first(where fits: (Value) -> Bool) async -> Value? {
        let (stream, continuation) = AsyncStream.makeStream(of: Value.self)
        state.withLock { state in
            for value in state.values { continuation.yield(value) }
            state.readers.append(continuation)
        }
        for await value in stream where fits(value) { return value }
        return nil
    }

    /// Waits until this many have come, or the task is cancelled.
    func first(count: Int) async {
        _ = await first { [self] _ in soFar.count >= count }
    }
}

/// All events of one provider.
final class EventLog: LockObserver {
    let events = Replay<LockEvent>()

    func observe(_ event: LockEvent) { events.send(event) }
}
