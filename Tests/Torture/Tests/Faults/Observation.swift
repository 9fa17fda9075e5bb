import MQLock

/// What a fault did to the lock of one mutex. The words are compared with the table's; the times are only shown.
struct Observation: Sendable {
    var holder = ""
    var waiter = ""
    var tokens = ""
    var afterwards = ""
    /// From the fault to the end of the holder's validity, as the holder knows it.
    var holderKnew: Duration?
    /// From the fault to the waiter's grant.
    var waiterHeld: Duration?

    var words: [String] { [holder, waiter, tokens, afterwards] }
}
