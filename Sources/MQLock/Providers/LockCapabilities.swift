/// What a provider can do, and which of the protocol's rules it does not keep.
///
/// Code decides by it: the conformance suite leaves a rule out only where this says so, and elections check whether
/// there is a line. For everything else about a mutex, see its article.
public struct LockCapabilities: Sendable, Equatable {
    /// The mutex's name, as in the command's `--mutex` and the documentation.
    public let mutex: String
    /// Whether ``LockProvider/acquire(_:within:)`` waits for a holder in another process. Sharded ownership does not.
    public let waitsAcrossProcesses: Bool
    /// The longest time for which a lock can be held without a break; `nil` when there is no limit.
    public let maximumHold: Duration?
    /// Whether contenders of different processes are served in the order in which they came.
    public let firstComeFirstServed: Bool
    /// Whether tokens keep growing across a crash of the broker, not only across its restart.
    public let tokensSurviveBrokerCrash: Bool

    /// Makes a description of what a provider can do.
    public init(
        mutex: String, waitsAcrossProcesses: Bool = true, maximumHold: Duration? = nil,
        firstComeFirstServed: Bool = true, tokensSurviveBrokerCrash: Bool = true
    ) {
        self.mutex = mutex
        self.waitsAcrossProcesses = waitsAcrossProcesses
        self.maximumHold = maximumHold
        self.firstComeFirstServed = firstComeFirstServed
        self.tokensSurviveBrokerCrash = tokensSurviveBrokerCrash
    }
}
