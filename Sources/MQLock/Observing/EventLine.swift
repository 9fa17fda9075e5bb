import Dispatch

/// The events that wait for one observer, and the thread that delivers them. The thread starts with the first event,
/// and ends after ``finish()`` when all are delivered.
final class EventLine: Sendable {
    private struct State {
        var tally = EventTally()
        /// Waiting events, from `first` on; those before it have been delivered.
        var events: [LockEvent] = []
        var first = 0
        var dropped = 0
        var thread = Thread.none
        var isFinished = false

        enum Thread { case none, working, idle }

        var waiting: Int { events.count - first }

        mutating func take() -> LockEvent? {
            guard first < events.count else { return nil }
            let event = events[first]
            first += 1
            // Moved together now and then, so a line that is never empty does not grow.
            if first == events.count || first == 1024 {
                events.removeFirst(first)
                first = 0
            }
            return event
        }
    }

    private enum Next {
        case event(LockEvent)
        case wait
        case end
    }

    private let observer: any LockObserver
    private let capacity: Int
    private let state = Locked(State())
    private let wakeUp = DispatchSemaphore(value: 0)

    init(_ observer: any LockObserver, capacity: Int) {
        self.observer = observer
        self.capacity = capacity
    }

    /// Puts an event in line, or counts it as dropped when the line is full. Waits for nothing but a short mutex.
    func send(_ make: (inout EventTally) -> LockEvent) {
        let thread = state.withLock { state in
            var event = make(&state.tally)
            event.droppedBefore += state.dropped
            if state.waiting < capacity {
                state.dropped = 0
                state.events.append(event)
            } else {
                state.dropped = event.droppedBefore + 1
            }
            defer { state.thread = .working }
            return state.thread
        }
        wake(thread)
    }

    /// Ends the thread as soon as all waiting events are delivered.
    func finish() {
        let thread = state.withLock { state in
            state.isFinished = true
            defer { if state.thread == .idle { state.thread = .working } }
            return state.thread
        }
        if thread == .idle { wakeUp.signal() }
    }

    private func wake(_ thread: State.Thread) {
        switch thread {
        case .working: break
        case .idle: wakeUp.signal()
        case .none:
            guard DetachedThread.start({ [self] in run() }) != 0 else { break }
            // Then with the next event.
            state.withLock { $0.thread = .none }
        }
    }

    private func run() {
        while true {
            let next: Next = state.withLock { state in
                if let event = state.take() { return .event(event) }
                if state.isFinished { return .end }
                state.thread = .idle
                return .wait
            }
            switch next {
            case .event(let event): observer.observe(event)
            case .wait: wakeUp.wait()
            case .end: return
            }
        }
    }
}
