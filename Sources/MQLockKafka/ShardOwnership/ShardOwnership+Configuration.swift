import Foundation

extension ShardOwnership {
    /// How to reach the cluster and how to behave.
    public struct Configuration: Sendable {
        /// The cluster.
        public var connection: KafkaConnection
        /// The lock topic: all programs that name the same one share its shards out among them. It has to exist, and to
        /// be compacted (`cleanup.policy=compact`).
        public var topic: String
        /// How many partitions the topic has. Another number on the cluster is an error: names would change owner.
        public var partitions: Int
        /// Who we are, shown in claims; by default host and process id.
        public var owner: String
        /// After how long without a sign of life the cluster gives a member's shards to others: with
        /// ``surviveBrokerCrash`` (20 s) nobody loses anything by the crash of a broker, with ``fastFailover`` (6 s,
        /// the lowest that brokers take by default) a dead member is replaced sooner.
        public var session: Duration
        /// How long the work on a shard may take to end when a rebalance asks for the shard; the rebalance of all members
        /// waits for it. From zero; more than one session counts as one.
        public var drainTimeout: Duration
        /// Delays between a membership that failed and the next: the first one, above zero, and the longest; half is random.
        public var backoff: ClosedRange<Duration>
        /// How claims get into the topic; the same for all members. Transactional by default: choose
        /// ``ClaimMethod/acknowledged`` only for brokers that have no transactions, and read what is weaker then.
        public var claims = ClaimMethod.transactional

        /// A session that outlives the crash of a broker.
        public static let surviveBrokerCrash = Duration.seconds(20)
        /// A session after which a dead member is replaced soon.
        public static let fastFailover = Duration.seconds(6)

        /// The shards of this topic.
        public init(connection: KafkaConnection = KafkaConnection(), topic: String, partitions: Int) {
            self.connection = connection
            self.topic = topic
            self.partitions = partitions
            owner = "\(ProcessInfo.processInfo.hostName)/\(ProcessInfo.processInfo.processIdentifier)"
            session = Self.surviveBrokerCrash
            drainTimeout = .seconds(2)
            backoff = .milliseconds(100) ... .seconds(5)
        }
    }
}
