import MQLock

/// A URI that descriptions and reflection show without its password and options.
struct HiddenURI: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    var text: String

    /// Of one that cannot be read nothing is shown: nobody knows where its password is.
    var description: String { (try? AMQPURI.parse(text))?.description ?? "(no AMQP URI)" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }
}
