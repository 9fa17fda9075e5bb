import MQLock

extension ShardOwnership {
    /// How to reach the cluster, and how to behave.
    public struct Configuration: Sendable {
        /// The cluster.
        public var connection: KafkaConnection
        /// The lock topic. All programs that name the same topic share its shards. It has to exist and to be compacted
        /// (`cleanup.policy=compact`).
        public var topic: String
        /// How many partitions the topic has. Another number on the cluster is an error: names would change owners.
        public var partitions: Int
        /// The service's own topic, whose partitions are read by the owners of the shards with the same numbers; `nil`
        /// for none. All members of the group have to subscribe to both topics. Then the group assigns the same numbers
        /// of both to the same member, which is checked at each assignment. See <doc:YourTopic>.
        public var records: String?
        /// The group that assigns the shards; `nil` means `mqlock.v1/` and the lock topic. The same for all members.
        public var group: String?
        /// How keys of records are spread over partitions, and with them names over shards. The same for all members,
        /// and for the program that writes the records. `mqlock doctor` reads some records and reports which
        /// partitioner wrote them.
        public var partitioner = Partitioner.murmur2
        /// The name of this member in its claims; by default host and process id.
        public var owner: String
        /// After how long without a sign of life the cluster assigns a member's shards to others. With
        /// ``surviveBrokerCrash`` (20 s) no member loses shards by the crash of a broker. With ``fastFailover`` (6 s,
        /// the lowest that brokers accept by default) a dead member is replaced sooner, but the crash of any broker
        /// with a copy of the group's offsets ends all ownership for some seconds.
        public var session: Duration
        /// How long the work on a shard may take to end when a rebalance asks for the shard; the rebalance of all
        /// members waits for it. From zero; more than one session counts as one.
        public var drainTimeout: Duration
        /// Delays between a failed membership and the next: the first one, above zero, and the longest. Half is random.
        public var backoff: ClosedRange<Duration>
        /// How claims get into the topic; the same for all members. Transactional by default. Choose
        /// ``ClaimMethod/acknowledged`` only for brokers without transactions, and read there what is weaker.
        public var claims = ClaimMethod.transactional
        /// How far ahead of this machine's clock a number in the topic may be, from zero to ten years; a day by
        /// default. More is refused, because it comes from a wrong clock, or from a writer that tries to use up all
        /// numbers. To get past one such claim, raise this on all members until the clocks have caught up: tokens
        /// continue from there.
        public var toleratedLead = Duration.seconds(24 * 60 * 60)

        /// A session that outlives the crash of a broker.
        public static let surviveBrokerCrash = Duration.seconds(20)
        /// A session after which a dead member is replaced soon. For clusters of one broker, or for work that can be
        /// interrupted: renewals are group commits, which wait for every in-sync copy of the group's offsets. When a
        /// broker with a copy crashes, the cluster takes about 9 s to remove it (`broker.session.timeout.ms`). By then
        /// all ownership with a session of six seconds is lost. The shards are owned again some seconds later.
        public static let fastFailover = Duration.seconds(6)

        /// The shards of this topic.
        public init(connection: KafkaConnection = KafkaConnection(), topic: String, partitions: Int) {
            self.connection = connection
            self.topic = topic
            self.partitions = partitions
            owner = ThisProcess.owner
            session = Self.surviveBrokerCrash
            drainTimeout = .seconds(2)
            backoff = .milliseconds(100) ... .seconds(5)
        }

        /// The shards of a service's own topic: the owner of a shard reads the partition of that number.
        /// - Parameters:
        ///   - connection: the cluster of both topics.
        ///   - records: the service's topic. Nothing is written there.
        ///   - locks: the lock topic, with as many partitions, compacted, and used by MQLock alone; by default the name
        ///     of the service's topic followed by `.mqlock`.
        ///   - group: the service's consumer group. Its committed offsets stay as they are, and say where reading
        ///     continues.
        ///   - partitions: how many partitions each of the two topics has.
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
