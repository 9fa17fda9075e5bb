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
        /// The service's own topic, whose partitions are read by the owners of the shards with the same numbers; `nil` is
        /// none. All members of the group have to subscribe to both topics: then the group gives the same numbers of both
        /// to the same member, which is checked at each assignment. See <doc:YourTopic>.
        public var records: String?
        /// The group that shares the shards out; `nil` is `mqlock.v1/` and the lock topic. The same for all members.
        public var group: String?
        /// How the keys of records are spread over partitions, and names over shards with them; the same for all members,
        /// and for whoever writes the records. `mqlock doctor` reads some and says by which they were written.
        public var partitioner = Partitioner.murmur2
        /// Who we are, shown in claims; by default host and process id.
        public var owner: String
        /// After how long without a sign of life the cluster gives a member's shards to others: with
        /// ``surviveBrokerCrash`` (20 s) nobody loses anything by the crash of a broker, with ``fastFailover`` (6 s,
        /// the lowest that brokers take by default) a dead member is replaced sooner, but the crash of any broker that holds
        /// a copy of the group's offsets ends all ownership for some seconds.
        public var session: Duration
        /// How long the work on a shard may take to end when a rebalance asks for the shard; the rebalance of all members
        /// waits for it. From zero; more than one session counts as one.
        public var drainTimeout: Duration
        /// Delays between a membership that failed and the next: the first one, above zero, and the longest; half is random.
        public var backoff: ClosedRange<Duration>
        /// How claims get into the topic; the same for all members. Transactional by default: choose
        /// ``ClaimMethod/acknowledged`` only for brokers that have no transactions, and read what is weaker then.
        public var claims = ClaimMethod.transactional
        /// How far ahead of this machine's clock a number in the topic may be, from zero to ten years; a day by default.
        /// More is refused, because it comes from a clock that is wrong, or from somebody who wants all numbers used up. To
        /// get over one such claim, raise it on all members until the clocks have caught up: tokens go on from there.
        public var toleratedLead = Duration.seconds(24 * 60 * 60)

        /// A session that outlives the crash of a broker.
        public static let surviveBrokerCrash = Duration.seconds(20)
        /// A session after which a dead member is replaced soon. For clusters of one broker, or for work that bears to be
        /// interrupted: renewals are group commits, which wait for every copy of the group's offsets that is in sync. When
        /// a broker with a copy crashes, the cluster takes about 9 s to leave it out (`broker.session.timeout.ms`), and by
        /// then everything that rests on six seconds is lost, and owned anew after some more.
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

        /// The shards of a service's own topic: who owns a shard reads the partition of that number.
        /// - Parameters:
        ///   - records: the service's topic. Nothing is written there.
        ///   - locks: the lock topic, with as many partitions, compacted, and nobody else's; by default that name with
        ///     `.mqlock` behind it.
        ///   - group: the service's consumer group. Its committed offsets stay as they are, and say where reading goes on.
        public init(
            connection: KafkaConnection = KafkaConnection(), records: String, locks: String? = nil, group: String,
            partitions: Int
        ) {
            self.init(connection: connection, topic: locks ?? "\(records).mqlock", partitions: partitions)
            self.records = records
            self.group = group
        }
    }
}
