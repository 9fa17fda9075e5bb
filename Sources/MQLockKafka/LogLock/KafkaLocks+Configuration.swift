import MQLock

extension KafkaLocks {
    /// How to reach the cluster, and how to behave.
    public struct Configuration: Sendable {
        /// The cluster.
        public var connection: KafkaConnection
        /// The lock topic. It has to exist, with `cleanup.policy=delete` and a retention of at least a day; see
        /// <doc:LogLock>.
        public var topic: String
        /// How many of the topic's partitions the names are spread over; the same in all programs. One is enough for
        /// thousands of hand-overs a second. A program that meets another number is refused.
        public var partitions: Int
        /// How long a session lives without a sign of life. A dead holder's lock passes on after a fifth more. From 1 s
        /// to 10 min; the default of 30 s outlives the crash of a broker.
        public var ttl: Duration
        /// How much is subtracted from the proof of life for clocks and scheduling; by default the larger of 200 ms and
        /// a tenth.
        public var margin: Duration?
        /// The name of this contender that operators see; by default host and process id. At most 255 bytes of it are
        /// written.
        public var owner: String
        /// How long calls wait for the provider's first session before they fail with `unreachable`. `nil` waits as
        /// long as the call itself does. A session that is lost later is waited for in any case.
        public var startupTimeout: Duration?
        /// How long the cluster may take to answer a question when a session starts.
        public var requestTimeout: Duration
        /// Delays between a failed session and the next: the first one, above zero, and the longest. Half is random.
        public var backoff: ClosedRange<Duration>
        /// How long a shutdown waits for holders to release.
        public var drainTimeout: Duration
        /// How many contenders may wait in this process, over all names.
        public var maximumWaiters: Int

        /// Locks on this topic.
        public init(connection: KafkaConnection = KafkaConnection(), topic: String) {
            self.connection = connection
            self.topic = topic
            partitions = 1
            ttl = .seconds(30)
            margin = nil
            owner = ThisProcess.owner
            startupTimeout = nil
            requestTimeout = .seconds(5)
            backoff = .milliseconds(100) ... .seconds(5)
            drainTimeout = .seconds(5)
            maximumWaiters = 100_000
        }
    }
}

extension KafkaLocks.Configuration {
    /// The allowed values of ``ttl``.
    package static let ttls = LockTable.ttlLimits

    /// The checked settings.
    /// - Throws: `LockError` with code `invalidConfiguration`.
    func settings() throws(LockError) -> LogDriver.Settings {
        guard Self.ttls.contains(ttl) else {
            throw LockError(.invalidConfiguration, "the ttl has to be from 1 s to 10 min, not \(ttl.readable)")
        }
        let margin = margin ?? max(.milliseconds(200), ttl / 10)
        guard margin >= .zero, margin < ttl / 2 else {
            throw LockError(
                .invalidConfiguration, "the margin has to be less than half of the ttl, and is \(margin.readable)")
        }
        guard (1...100_000).contains(partitions) else {
            throw LockError(.invalidConfiguration, "names are spread over 1 to 100000 partitions, not \(partitions)")
        }
        guard !topic.isEmpty, topic.utf8.count <= 249 else {
            throw LockError(.invalidConfiguration, "name the topic, in 1 to 249 bytes")
        }
        try requestTimeout.require(.positive, "requestTimeout")
        try startupTimeout?.require(.positive, "startupTimeout")
        try backoff.lowerBound.require(.positive, "the first delay of backoff")
        try drainTimeout.require(.notNegative, "drainTimeout")
        _ = try ClientSettings(connection: connection, own: []).properties()
        // A longer owner does not fit into the record.
        var owner = owner
        while owner.utf8.count > Int(UInt8.max) { owner.removeLast() }
        let session = LogSession.Settings(
            ttl: .milliseconds(ttl.nanoseconds / 1_000_000), margin: margin, partitions: UInt32(partitions),
            owner: owner)
        return .init(
            connection: connection, topic: topic, partition: .init(session: session, backoff: GrowingDelay(backoff)),
            requestTimeout: requestTimeout, startupTimeout: startupTimeout)
    }
}
