import MQLock

extension Duration {
    /// How long a call may block: at least one millisecond, because some calls take zero or less as no limit.
    var callLimit: Int32 { max(1, pollLimit) }

    /// How long to wait for events, from zero. Rounded up, so that a timer does not come a little early again and
    /// again.
    var pollLimit: Int32 {
        let whole = nanoseconds / 1_000_000
        return Int32(clamping: max(0, nanoseconds > whole * 1_000_000 ? whole + 1 : whole))
    }

    /// The value of a property in milliseconds.
    var inMilliseconds: String { String(nanoseconds / 1_000_000) }
}
