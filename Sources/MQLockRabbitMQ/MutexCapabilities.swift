import MQLock

/// What each mutex can do and promise.
extension RabbitMQLocks.Mutex {
    func capabilities(_ settings: SessionSettings) -> LockCapabilities {
        switch self {
        case .singleActiveConsumer, .exclusiveQueue: LockCapabilities(mutex: description)
        case .token:
            LockCapabilities(
                mutex: description, maximumHold: settings.maximumHold,
                tokensSurviveBrokerCrash: settings.durability != .fast)
        default: preconditionFailure("nothing is known of the mutex \(self)")
        }
    }
}
