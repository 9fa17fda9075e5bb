import MQLock

/// What each mutex can do and promise.
extension RabbitMQLocks.Mutex {
    func capabilities(_ settings: SessionSettings) -> LockCapabilities {
        LockCapabilities(mutex: description, maximumHold: self == .token ? settings.maximumHold : nil)
    }
}
