import MQLock

/// What each mutex can do and promise. The article *Choosing a mutex* is made from it.
extension RabbitMQLocks.Mutex {
    func capabilities(_ settings: SessionSettings) -> LockCapabilities {
        LockCapabilities(mutex: description, maximumHold: self == .token ? settings.maximumHold : nil)
    }
}
