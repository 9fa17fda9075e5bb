/// Identifies a timer of an event loop, for `EventLoop.cancel`.
struct TimerID: Hashable, Sendable {
    fileprivate let number: UInt64
}

/// The timers of an event loop: a binary heap by deadline, equal deadlines in the order in which they were added.
///
/// Cancelling removes the body at once but leaves the heap's entry behind. Entries without a body are skipped, and
/// removed when they outnumber the live ones, so many short-lived deadlines cost no memory.
struct TimerQueue {
    private struct Entry {
        let deadline: ContinuousClock.Instant
        let number: UInt64

        func isBefore(_ other: Entry) -> Bool {
            deadline != other.deadline ? deadline < other.deadline : number < other.number
        }
    }

    private var heap: [Entry] = []
    private var bodies: [UInt64: () -> Void] = [:]
    private var nextNumber: UInt64 = 0

    var count: Int { bodies.count }

    /// Includes cancelled entries that are not yet removed.
    var entryCount: Int { heap.count }

    /// Timers added from now on are not due in a `popDue` with this mark. So a body that adds a timer that is due at
    /// once cannot keep the loop from its sockets.
    var mark: UInt64 { nextNumber }

    mutating func add(at deadline: ContinuousClock.Instant, _ body: @escaping () -> Void) -> TimerID {
        let number = nextNumber
        nextNumber += 1
        bodies[number] = body
        heap.append(Entry(deadline: deadline, number: number))
        siftUp(heap.count - 1)
        return TimerID(number: number)
    }

    /// Returns whether the timer was still pending.
    @discardableResult
    mutating func cancel(_ timer: TimerID) -> Bool {
        guard bodies.removeValue(forKey: timer.number) != nil else { return false }
        if heap.count > 64, heap.count > 2 * bodies.count { sweep() }
        return true
    }

    mutating func removeAll() {
        heap = []
        bodies = [:]
    }

    mutating func nextDeadline() -> ContinuousClock.Instant? {
        while let first = heap.first {
            if bodies[first.number] != nil { return first.deadline }
            removeFirst()
        }
        return nil
    }

    /// Removes the first timer that is due at `now` and was added before `mark`.
    mutating func popDue(at now: ContinuousClock.Instant, before mark: UInt64) -> (() -> Void)? {
        while let first = heap.first {
            guard bodies[first.number] != nil else {
                removeFirst()
                continue
            }
            guard first.deadline <= now, first.number < mark else { return nil }
            removeFirst()
            return bodies.removeValue(forKey: first.number)
        }
        return nil
    }

    private mutating func sweep() {
        heap.removeAll { bodies[$0.number] == nil }
        // A sorted array is a heap.
        heap.sort { $0.isBefore($1) }
    }

    private mutating func removeFirst() {
        let last = heap.removeLast()
        guard !heap.isEmpty else { return }
        heap[0] = last
        siftDown(0)
    }

    private mutating func siftUp(_ start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].isBefore(heap[parent]) else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    private mutating func siftDown(_ start: Int) {
        var parent = start
        while true {
            var smallest = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if heap[child].isBefore(heap[smallest]) { smallest = child }
            }
            guard smallest != parent else { return }
            heap.swapAt(parent, smallest)
            parent = smallest
        }
    }
}
