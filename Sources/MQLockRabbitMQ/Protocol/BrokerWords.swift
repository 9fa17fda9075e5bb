/// The broker's reason for closing something. The code gives only the class of the error; the text says which error it
/// is. The text quotes names, which can be anything.
struct BrokerWords: Sendable {
    private let text: String

    init(_ text: String) { self.text = text }

    /// Whether a limit on connections, channels, queues or exchanges is reached: `connection limit (1) is reached`, `queue
    /// limit in vhost 'V' (5) is reached`, `number of channels opened for user 'U' has reached the maximum allowed user limit
    /// of (2)`, `… has reached the negotiated channel_max (9)` (3.8 to 4.3).
    var tellOfLimit: Bool {
        if text.hasSuffix(" is reached") { return true }
        guard let reached = text.ranges(of: " has reached the ").last?.upperBound else { return false }
        let what = text[reached...]
        return what.contains(" limit of (") || what.hasPrefix("negotiated channel_max (")
    }
}
