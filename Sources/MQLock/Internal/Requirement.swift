extension Duration {
    /// The condition on a duration of a configuration.
    package enum Requirement: Sendable { case positive, notNegative }

    /// Refuses a duration that makes no sense in its place.
    /// - Parameter what: which value of the configuration it is, for the message.
    /// - Throws: `LockError` with code `invalidConfiguration`.
    package func require(_ requirement: Requirement, _ what: String) throws(LockError) {
        switch requirement {
        case .positive where self <= .zero:
            throw LockError(.invalidConfiguration, "\(what) has to be above zero, and is \(readable)")
        case .notNegative where self < .zero:
            throw LockError(.invalidConfiguration, "\(what) cannot be negative, and is \(readable)")
        default: break
        }
    }
}
