import MQLock

/// A URI that descriptions and reflection show without its password and options.
struct HiddenURI: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    var text: String

    /// If the URI cannot be parsed, nothing is shown: we cannot know where its password is.
    var description: String { (try? AMQPURI.parse(text))?.description ?? "(no AMQP URI)" }
    var debugDescription: String { description }
    var customMirror: Mirror { Mirror(self, children: []) }
}
