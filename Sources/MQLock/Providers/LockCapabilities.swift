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
    /// How often a contender waits for an answer of the broker; `nil` where there is none.
    public var roundTrips: RoundTrips?
    /// What the loss of one node of a cluster of three does, by the broker's version.
    public var nodeLoss: [FaultBehavior]
    /// What happens when a cluster is cut apart, by the broker's version.
    public var partition: [FaultBehavior]
    /// What each name keeps on the broker, in words.
    public var stored: String
    /// Whether the broker itself can refuse what a former holder writes to it, so that its readers need compare no tokens.
    public var fencesOutput = false

    /// Makes a description of what a provider can do.
    public init(
        mutex: String, waitsAcrossProcesses: Bool = true, maximumHold: Duration? = nil,
        firstComeFirstServed: Bool = true, tokensSurviveBrokerCrash: Bool = true, writtenNumbers: Bool = false,
        roundTrips: RoundTrips? = nil, nodeLoss: [FaultBehavior] = [], partition: [FaultBehavior] = [],
        stored: String = ""
    ) {
        self.mutex = mutex
        self.waitsAcrossProcesses = waitsAcrossProcesses
        self.maximumHold = maximumHold
        self.firstComeFirstServed = firstComeFirstServed
        self.tokensSurviveBrokerCrash = tokensSurviveBrokerCrash
        self.writtenNumbers = writtenNumbers
        self.roundTrips = roundTrips
        self.nodeLoss = nodeLoss
        self.partition = partition
        self.stored = stored
    }

    /// How often a contender waits for an answer of the broker, once the name is known to the session.
    public struct RoundTrips: Sendable, Equatable {
        /// To acquire a free lock.
        public var acquire: Int
        /// For a waiter, after the release has reached the broker; the push that wakes it does not count.
        public var handOver: Int
        /// To release.
        public var release: Int

        /// Makes a description of the round trips.
        public init(acquire: Int, handOver: Int, release: Int) {
            (self.acquire, self.handOver, self.release) = (acquire, handOver, release)
        }
    }

    /// What a fault of the broker does to a lock.
    public struct FaultBehavior: Sendable, Equatable {
        /// The versions of the broker that this is about, in words; empty for all.
        public var brokers: String
        /// Whether there is at most one valid lease all along.
        public var isExclusive: Bool
        /// Whether the lock can be granted again before the fault is mended.
        public var isAvailable: Bool
        /// What happens, and how that is known, in words.
        public var summary: String

        /// Makes a description of what a fault does.
        public init(brokers: String = "", isExclusive: Bool, isAvailable: Bool, summary: String) {
            (self.brokers, self.isExclusive) = (brokers, isExclusive)
            (self.isAvailable, self.summary) = (isAvailable, summary)
        }
    }
}
