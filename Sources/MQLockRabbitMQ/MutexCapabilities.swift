import MQLock

/// What each mutex can do and promise. The article *Choosing a mutex* is made from it.
extension RabbitMQLocks.Mutex {
    func capabilities(_ settings: SessionSettings) -> LockCapabilities {
        switch self {
        case .singleActiveConsumer:
            LockCapabilities(
                mutex: description, roundTrips: .init(acquire: 2, handOver: 1, release: 0),
                nodeLoss: Self.quorumNodeLoss,
                partition: Self.quorumPartition, stored: "one quorum queue with one message")
        case .token:
            LockCapabilities(
                mutex: description, maximumHold: settings.maximumHold,
                roundTrips: .init(acquire: 1, handOver: 0, release: 0), nodeLoss: Self.quorumNodeLoss,
                partition: Self.quorumPartition, stored: "two quorum queues, one of them with one message")
        default: preconditionFailure("nothing is known of the mutex \(self)")
        }
    }

    private static let quorumNodeLoss = [
        LockCapabilities.FaultBehavior(
            isExclusive: true, isAvailable: true,
            summary: "a holder on that node is told; the next is granted in 0.2 s (seen on 3.10.8)")
    ]

    private static let quorumPartition = [
        LockCapabilities.FaultBehavior(
            brokers: "up to 4.2", isExclusive: false, isAvailable: true,
            summary: "**two holders** until it heals, the older is not told; tokens order them (seen on 3.10.8)"),
        LockCapabilities.FaultBehavior(
            brokers: "from 4.3", isExclusive: false, isAvailable: true,
            summary: "the same after 60 s (by RabbitMQ's source, not tried)"),
    ]
}
