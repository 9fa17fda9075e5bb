import MQLock
import MQLockRabbitMQ

/// Finds unused locks in the broker's list of queues. A pure value.
struct UnusedLocks: Equatable {
    /// One queue of the list.
    struct Queue: Equatable {
        var name: String
        var isUsed = false
        var messages = 0
        var isSingleActiveConsumer = false
        var isQuorum = false
        /// Nil when it was declared without one.
        var deliveryLimit: Int64?
    }

    enum Reason: String, Equatable, CaseIterable {
        /// A program holds the lock or waits for it.
        case used
        /// Jobs that have been done once for a period would be done again.
        case marked
    }

    /// The mutex of each unused lock.
    private(set) var unused: [LockName: RabbitMQLocks.Mutex] = [:]
    private(set) var kept: [LockName: Reason] = [:]

    init(_ queues: [Queue], matching pattern: NamePattern) {
        for queue in queues {
            guard let part = LockObjects.part(queue.name), pattern.matches(part.name) else { continue }
            if queue.isUsed {
                kept[part.name] = .used
            } else if part.kind == .done, queue.messages > 0, kept[part.name] == nil {
                kept[part.name] = .marked
            }
            switch part.kind {
            case .lock: unused[part.name] = queue.isSingleActiveConsumer ? .singleActiveConsumer : .token
            case .line: unused[part.name] = .exclusiveQueue
            case .done, .register: break
            }
        }
        for name in kept.keys { unused[name] = nil }
        // A name that only has a mark or a register is no lock any more.
        kept = kept.filter { name, _ in queues.contains { LockObjects.name(ofQueue: $0.name) == name } }
    }
}
