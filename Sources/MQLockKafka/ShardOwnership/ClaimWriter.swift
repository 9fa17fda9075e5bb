import MQLock

/// Step 3 of a claim: writes the records to the topic. Blocks; belongs to the claim worker's thread.
protocol ClaimWriter: AnyObject {
    /// When the topic's leader accepted the last record, by its own clock; nil unless the topic records that.
    var brokerTime: Int64? { get }
    /// Does in advance what makes the first write slow.
    func warmUp() throws
    /// Writes one claim for each shard. When this throws, nobody knows what was written.
    /// - Parameters:
    ///   - offsets: for each shard the end of what step 2 has read.
    ///   - reader: sees everything.
    func write(
        _ claims: [Int32: ClaimRecord], _ offsets: [Int32: Int64], _ metadata: GroupMetadata, _ reader: LogReader,
        _ goOn: () throws -> Void
    ) throws
    /// Closes the clients.
    func close()
}

/// In a transaction with the group offsets, which the broker refuses when the membership is stale.
final class TransactionalClaimWriter: ClaimWriter {
    private let settings: ClaimWorker.Settings
    private var producer: OnDemand<TransactionalProducer, any Error>

    init(_ settings: ClaimWorker.Settings, log: @escaping @Sendable (LogLine) -> Void) {
        self.settings = settings
        producer = OnDemand {
            try .ready(
                settings.connection, topic: settings.topic, purpose: "claims", timeout: settings.transactionTimeout,
                within: settings.requestTimeout, log: log)
        }
    }

    var brokerTime: Int64? { producer.existing?.brokerTime }

    /// The first transaction takes librdkafka 2.0.2 a second.
    func warmUp() throws {
        let ready = try producer.ready()
        do {
            try ready.begin()
            try ready.produce(.warmUp(settings.topic))
            try ready.commit(within: settings.requestTimeout)
        } catch {
            producer.drop()
            throw error
        }
    }

    /// When the outcome is unknown the producer is dropped. Step 1 of the next claim waits until the broker has
    /// decided.
    func write(
        _ claims: [Int32: ClaimRecord], _ offsets: [Int32: Int64], _ metadata: GroupMetadata, _ reader: LogReader,
        _ goOn: () throws -> Void
    ) throws {
        let ready = try producer.ready()
        try goOn()
        do {
            try ready.begin()
            for (shard, claim) in claims { try ready.produce(try claim.record(of: shard, settings.topic)) }
            try ready.send(
                [TopicPartitions(settings.topic, offsets: offsets)], metadata, within: settings.requestTimeout)
            try ready.commit(within: settings.transactionTimeout)
        } catch {
            if let failure = error as? KafkaFailure, !failure.isFatal, failure.needsAbort {
                do { try ready.abort(within: settings.requestTimeout) } catch { producer.drop() }
            } else {
                producer.drop()
            }
            throw error
        }
    }

    func close() { producer.drop() }
}

/// Appended, acknowledged by all replicas, and then read back as the newest of its shard.
final class AcknowledgedClaimWriter: ClaimWriter {
    /// Another claim is after ours: the claim starts again, with a larger number.
    struct Overtaken: Error {}

    private let settings: ClaimWorker.Settings
    private var producer: OnDemand<AcknowledgedProducer, LockError>

    init(_ settings: ClaimWorker.Settings, log: @escaping @Sendable (LogLine) -> Void) {
        self.settings = settings
        producer = OnDemand { () throws(LockError) in
            try AcknowledgedProducer(settings.connection, timeout: settings.requestTimeout, log: log)
        }
    }

    var brokerTime: Int64? { producer.existing?.brokerTime }

    func warmUp() throws {
        try producer.ready().produce([.warmUp(settings.topic)], within: settings.requestTimeout)
    }

    func write(
        _ claims: [Int32: ClaimRecord], _ offsets: [Int32: Int64], _ metadata: GroupMetadata, _ reader: LogReader,
        _ goOn: () throws -> Void
    ) throws {
        try write(claims, offsets, reader, appended: {}, goOn)
    }

    /// - Parameter appended: called before the check for the newest claim, for tests.
    func write(
        _ claims: [Int32: ClaimRecord], _ offsets: [Int32: Int64], _ reader: LogReader,
        appended: () throws -> Void, _ goOn: () throws -> Void
    ) throws {
        let producer = try producer.ready()
        let records = try claims.map { try $0.value.record(of: $0.key, settings.topic) }
        try goOn()
        try producer.produce(records, within: settings.requestTimeout)
        try appended()
        let newest = try newest(after: offsets, reader)
        guard claims.allSatisfy({ newest[$0.key] == $0.value }) else { throw Overtaken() }
    }

    func close() { producer.drop() }

    private func newest(
        after offsets: [Int32: Int64], _ reader: LogReader
    ) throws(KafkaFailure) -> [Int32: ClaimRecord] {
        var ranges: [Int32: Range<Int64>] = [:]
        let bounds = try reader.bounds(settings.topic, Array(offsets.keys), within: settings.requestTimeout)
        for (shard, start) in offsets { ranges[shard] = start..<max(start, bounds[shard]?.upperBound ?? start) }
        var newest: [Int32: ClaimRecord] = [:]
        try reader.read(settings.topic, ranges, within: settings.transactionTimeout) { record in
            if let claim = ClaimRecord(record) { newest[record.partition] = claim }
        }
        return newest
    }
}

extension ClaimRecord {
    func record(of shard: Int32, _ topic: String) throws(LockError) -> ProducedRecord {
        ProducedRecord(topic: topic, partition: shard, key: Self.key(shard), value: try value())
    }
}

extension ProducedRecord {
    /// The first record of a producer; readers of claims skip it.
    static func warmUp(_ topic: String) -> ProducedRecord {
        ProducedRecord(topic: topic, partition: 0, key: Array("\(ClaimRecord.version)/warm-up".utf8), value: [])
    }
}
