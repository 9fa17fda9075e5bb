import MQLock

/// The broker's text about its `consumer_timeout` when it closes a channel for that reason, up to 4.2:
/// `PRECONDITION_FAILED - delivery acknowledgement on channel 2 timed out. Timeout value used: 1800000 ms. …`
enum ConsumerTimeout {
    /// The timeout; nil when the text is about something else, or the number is invalid.
    static func named(in fault: ChannelFault) -> Duration? {
        guard fault.code == ChannelFault.preconditionFailed,
            let start = fault.text.firstRange(of: "Timeout value used: ")?.upperBound,
            let milliseconds = Int64(fault.text[start...].prefix { $0.isASCII && $0.isNumber }), milliseconds > 0
        else { return nil }
        return .milliseconds(milliseconds)
    }
}

extension ChannelFault {
    /// Whether the broker has taken back what was not acknowledged within its `consumer_timeout`. That is no refusal.
    var isOverdue: Bool {
        code == Self.preconditionFailed && text.hasPrefix("PRECONDITION_FAILED - delivery acknowledgement on channel ")
    }
}
