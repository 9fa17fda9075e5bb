import MQLock

/// What each mutex can do and promise. The article *Choosing a mutex* is made from it.
extension RabbitMQLocks.Mutex {
    func capabilities(_ settings: SessionSettings) -> LockCapabilities {
        let isFast = settings.durability == .fast
        let queue = "\(settings.durability.queueType) queue"
        var capabilities =
            switch self {
            case .singleActiveConsumer:
                LockCapabilities(
                    mutex: description, roundTrips: .init(acquire: 2, handOver: 1, release: 0),
                    stored: "one \(queue) with one message")
            case .token:
                LockCapabilities(
                    mutex: description, maximumHold: settings.maximumHold, tokensSurviveBrokerCrash: !isFast,
                    roundTrips: .init(acquire: 1, handOver: 0, release: 0),
                    stored: "two \(queue)s, one of them with one message")
            case .exclusiveQueue:
                // The line; queue and register; watch and number. To release: the deletion, before the turn goes on.
                LockCapabilities(
                    mutex: description, roundTrips: .init(acquire: 3, handOver: 2, release: 1),
                    stored: "two \(queue)s with one message each, and while it is held an exclusive one")
            default: preconditionFailure("nothing is known of the mutex \(self)")
            }
        capabilities.nodeLoss = nodeLoss(isFast)
        capabilities.partition = partition(isFast)
        return capabilities
    }

    private func nodeLoss(_ isFast: Bool) -> [LockCapabilities.FaultBehavior] {
        if isFast {
            return [
                .init(
                    isExclusive: true, isAvailable: false,
                    summary: "a lock whose queue is on that node waits until it is back (by RabbitMQ's documentation)")
            ]
        }
        guard self == .exclusiveQueue else {
            return [
                .init(
                    isExclusive: true, isAvailable: true,
                    summary: "a holder on that node is told; the next is granted in 0.2 s (seen on 3.10.8)")
            ]
        }
        return [
            .init(
                isExclusive: true, isAvailable: false,
                summary: "a holder on that node is told; the next is granted when the node is back (seen on 3.10.8)")
        ]
    }

    private func partition(_ isFast: Bool) -> [LockCapabilities.FaultBehavior] {
        let seen = "**two holders** until it heals, the older is not told; tokens order them (seen on 3.10.8)"
        guard self != .exclusiveQueue else {
            return [
                .init(
                    isExclusive: false, isAvailable: true,
                    summary: "**two holders** until the older ends; tokens order them (seen on 3.10.8)")
            ]
        }
        guard !isFast else {
            return [
                .init(
                    isExclusive: false, isAvailable: true,
                    summary: "**two holders** are possible; tokens order them (not tried)")
            ]
        }
        return [
            .init(brokers: "up to 4.2", isExclusive: false, isAvailable: true, summary: seen),
            .init(
                brokers: "from 4.3", isExclusive: false, isAvailable: true,
                summary: "the same after 60 s (by RabbitMQ's source, not tried)"),
        ]
    }
}
