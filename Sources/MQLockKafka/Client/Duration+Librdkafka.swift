import MQLock

extension Duration {
    /// For how long a call may block: one millisecond at least, because for some calls nothing and less means for ever.
    var callLimit: Int32 { max(1, pollLimit) }

    /// For how long to wait for events, from none on. Rounded up, so that a timer is not found to be a little early over
    /// and over.
    var pollLimit: Int32 {
        let whole = nanoseconds / 1_000_000
        return Int32(clamping: max(0, nanoseconds > whole * 1_000_000 ? whole + 1 : whole))
    }

    /// The value of a property in milliseconds.
    var inMilliseconds: String { String(nanoseconds / 1_000_000) }
}
