public import MQLock

/// A clock that stands still until a test moves it.
///
/// Nothing waits for real time: ``sleep(until:)`` returns when ``advance(by:)`` has passed its deadline. Give the same
/// clock to everything that takes part in a test.
public final class ManualClock: LockClock {
    private enum Wake {
        case sleeper(CheckedContinuation<Void, any Error>)
        case alarm(@Sendable () -> Void)
    }

    private struct Entry {
        let deadline: ContinuousClock.Instant
        let number: UInt64
        let wake: Wake
    }

    private struct State {
        var now: ContinuousClock.Instant
        var numbers: UInt64 = 0
        /// In order of deadline, then of arrival.
        var entries: [Entry] = []

        mutating func nextNumber() -> UInt64 {
            numbers += 1
            return numbers
        }

        mutating func insert(_ entry: Entry) {
            // Nearly always at or near the end: search from there.
            var index = entries.endIndex
            while index > entries.startIndex, entries[index - 1].deadline > entry.deadline { index -= 1 }
            entries.insert(entry, at: index)
        }

        mutating func remove(_ number: UInt64) -> Entry? {
            guard let index = entries.firstIndex(where: { $0.number == number }) else { return nil }
            return entries.remove(at: index)
        }
    }

    private let state: Locked<State>

    /// A clock that shows `start`, by default the real time of its creation.
    public init(startingAt start: ContinuousClock.Instant = .now) {
        state = Locked(State(now: start))
    }

    /// The instant that the clock shows.
    public var now: ContinuousClock.Instant { state.withLock { $0.now } }

    /// How many tasks sleep on this clock.
    public var sleepers: Int {
        state.withLock { state in
            state.entries.count { entry in
                if case .sleeper = entry.wake { true } else { false }
            }
        }
    }

    /// Returns when the clock has been moved to the deadline or past it.
    /// - Throws: `CancellationError` when the task is cancelled before.
    public func sleep(until deadline: ContinuousClock.Instant) async throws {
        let number = state.withLock { $0.nextNumber() }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
                let atOnce: Result<Void, any Error>? = state.withLock { state in
                    // Under the lock, as the handler below is: whichever comes second sees the other.
                    if Task.isCancelled { return .failure(CancellationError()) }
                    if deadline <= state.now { return .success(()) }
                    state.insert(Entry(deadline: deadline, number: number, wake: .sleeper(continuation)))
                    return nil
                }
                if let atOnce { continuation.resume(with: atOnce) }
            }
        } onCancel: {
            let entry = state.withLock { $0.remove(number) }
            if case .sleeper(let continuation)? = entry?.wake { continuation.resume(throwing: CancellationError()) }
        }
    }

    /// Moves the clock forward, and wakes what is due on the way, in order of deadline.
    ///
    /// Everything that ``InMemoryBroker`` does by the clock has been done when this returns. Tasks that slept have been
    /// woken, but may not have run yet: await what they do, or ``settle(turns:)``.
    /// - Precondition: `duration` is not negative.
    public func advance(by duration: Duration) {
        precondition(duration >= .zero, "a monotonic clock does not go back")
        let target = now.after(duration)
        while let wake = next(until: target) {
            switch wake {
            case .sleeper(let continuation): continuation.resume()
            case .alarm(let action): action()
            }
        }
    }

    /// Lets other tasks take turns, so woken tasks can continue.
    ///
    /// A help for tests that have no event to await; no number of turns is a guarantee.
    public func settle(turns: Int = 50) async {
        for _ in 0..<turns { await Task.yield() }
    }

    /// Calls `action` from ``advance(by:)`` when the clock reaches the deadline; at the next advance when it already
    /// has.
    func schedule(at deadline: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) -> UInt64 {
        state.withLock { state in
            let number = state.nextNumber()
            state.insert(Entry(deadline: deadline, number: number, wake: .alarm(action)))
            return number
        }
    }

    func cancel(_ number: UInt64) {
        state.withLock { _ = $0.remove(number) }
    }

    /// Removes the next entry that is due by `target` and shows its time; shows `target` when there is none.
    private func next(until target: ContinuousClock.Instant) -> Wake? {
        state.withLock { state in
            guard let first = state.entries.first, first.deadline <= target else {
                state.now = max(state.now, target)
                return nil
            }
            state.now = max(state.now, first.deadline)
            return state.entries.removeFirst().wake
        }
    }
}
