import MQLockRabbitMQ

/// What the table of *Choosing a mutex* says of a mutex that no code decides on, all of it for replicated queues.
struct ChoiceFacts {
    /// How often a contender waits for an answer of the broker, once the name is known to the session.
    struct RoundTrips {
        /// To acquire a free lock.
        let acquire: Int
        /// For a waiter, after the release has reached the broker; the push that wakes it does not count.
        let handOver: Int
        /// To release.
        let release: Int
    }

    let roundTrips: RoundTrips
    /// What each name keeps on the broker.
    let stored: String
    /// What the loss of one node of a cluster of three does: the same to all mutexes, for a quorum queue says who is next.
    let nodeLoss = """
        a holder on that node is notified; the next is granted in 0.4 s (seen on 3.10.8, 4.0.5); from 4.3 when the node is \
        back (seen on 4.3.6), or after 60 s (by RabbitMQ's source)
        """
    /// What happens when a cluster is cut apart: the same to all.
    let partition = """
        up to 4.2: **two holders** until it heals, the older is not notified; tokens order them (seen on 3.10.8, 4.0.5); \
        from 4.3: the next waits (15 s of it seen on 4.3.6), after 60 s the same (by RabbitMQ's source)
        """

    /// Nil for a mutex that nobody has written of.
    init?(_ mutex: RabbitMQLocks.Mutex) {
        switch mutex {
        case .singleActiveConsumer:
            // The consume, on a channel that was opened ahead; the token comes with its confirmation.
            roundTrips = .init(acquire: 1, handOver: 0, release: 0)
            stored = "one quorum queue with one message"
        case .token:
            roundTrips = .init(acquire: 1, handOver: 0, release: 0)
            stored = "two quorum queues, one of them with one message"
        case .exclusiveQueue:
            // The line; then the queue. To release: the deletion, before the line goes on.
            roundTrips = .init(acquire: 2, handOver: 1, release: 1)
            stored = "one quorum queue with one message, and while it is held an exclusive one"
        default: return nil
        }
    }
}
