/// What a provider can do, and which of the protocol's rules hold without exception.
///
/// The conformance suite leaves a rule out only where this says so, and the tables in the documentation are made
/// from it.
public struct LockCapabilities: Sendable, Equatable {
    /// The mutex's name, as in the command's `--mutex` and the documentation.
    public var mutex: String
    /// Whether ``LockProvider/acquire(_:within:)`` waits for a holder in another process. Sharded ownership does not.
    public var waitsAcrossProcesses: Bool
    /// The longest time a lock can be held without a break; `nil` when there is no limit.
    public var maximumHold: Duration?
    /// Whether contenders of different processes are served in the order in which they came.
    public var firstComeFirstServed: Bool
    /// Whether tokens keep growing over a crash of the broker, not only over its restart.
    public var tokensSurviveBrokerCrash: Bool
    /// Whether tokens are numbers that the adapter writes, which can be raised from outside (for a quorum of
    /// brokers).
    public var writtenNumbers: Bool

    /// Makes a description of what a provider can do.
    public init(
        mutex: String, waitsAcrossProcesses: Bool = true, maximumHold: Duration? = nil,
        firstComeFirstServed: Bool = true, tokensSurviveBrokerCrash: Bool = true, writtenNumbers: Bool = false
    ) {
        self.mutex = mutex
        self.waitsAcrossProcesses = waitsAcrossProcesses
        self.maximumHold = maximumHold
        self.firstComeFirstServed = firstComeFirstServed
        self.tokensSurviveBrokerCrash = tokensSurviveBrokerCrash
        self.writtenNumbers = writtenNumbers
    }
}
