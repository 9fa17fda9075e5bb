import Foundation
import MQLock

/// Step 3 of a claim: gets the records into the topic. Blocks; belongs to the claim worker's thread.
protocol ClaimWriter: AnyObject {
    /// The client, for questions about the cluster; connects when it has to.
    func client() throws -> ClientHandle
    /// Writes what costs the first write its time.
    func warmUp() throws
    /// Writes one claim for each shard. When this throws, it is not known what was written.
    /// - Parameter offsets: for each shard the end of what step 2 has read.
    func write(
        _ claims: [Int32: ClaimRecord], _ offsets: [Int32: Int64], _ metadata: GroupMetadata,
        _ goOn: () throws -> Void
    ) throws
    /// Lets the clients go.
    func close()
}

/// In a transaction with the group offsets, which the broker refuses when the membership is stale.
final class TransactionalClaimWriter: ClaimWriter {
    private let settings: ClaimWorker.Settings
    private let log: @Sendable (LogLine) -> Void
    private var producer: TransactionalProducer?

    init(_ settings: ClaimWorker.Settings, log: @escaping @Sendable (LogLine) -> Void) {
        (self.settings, self.log) = (settings, log)
    }

    func client() throws -> ClientHandle { try readyProducer().handle }

    /// The first transaction takes librdkafka 2.0.2 a second.
    func warmUp() throws {
        let producer = try readyProducer()
        do {
            try producer.begin()
            try producer.produce(.warmUp(settings.topic))
            try producer.commit(within: settings.requestTimeout)
        } catch {
            self.producer = nil
            throw error
        }
    }

    /// When the outcome is unknown the producer is dropped: step 1 of the next claim waits until the broker has decided.
    func write(
        _ claims: [Int32: ClaimRecord], _ offsets: [Int32: Int64], _ metadata: GroupMetadata,
        _ goOn: () throws -> Void
    ) throws {
        let producer = try readyProducer()
        try goOn()
        do {
            try producer.begin()
            for (shard, claim) in claims { try producer.produce(try claim.record(of: shard, settings.topic)) }
            try producer.send(
                TopicPartitions(settings.topic, offsets: offsets), metadata, within: settings.requestTimeout)
            try producer.commit(within: settings.transactionTimeout)
        } catch {
            if let failure = error as? KafkaFailure, !failure.isFatal, failure.needsAbort {
                do { try producer.abort(within: settings.requestTimeout) } catch { self.producer = nil }
            } else {
                self.producer = nil
            }
            throw error
        }
    }

    func close() { producer = nil }

    /// A transactional id is for one client of one start of one process: another with the same would fence it.
    private func readyProducer() throws -> TransactionalProducer {
        if let producer { return producer }
        let id = "mqlock/\(settings.topic)/\(UUID().uuidString)/claims"
        let new = try TransactionalProducer(settings.connection, id: id, timeout: settings.transactionTimeout, log: log)
        try new.start(within: settings.requestTimeout)
        producer = new
        return new
    }
}

/// Appended, acknowledged by all replicas, then read back as the newest of its shard.
final class AcknowledgedClaimWriter: ClaimWriter {
    /// Another claim stands behind ours: the claim is begun anew, with a larger number.
    struct Overtaken: Error {}

    private let settings: ClaimWorker.Settings
    private let log: @Sendable (LogLine) -> Void
    private var producer: AcknowledgedProducer?
    private var reader: LogReader?

    init(_ settings: ClaimWorker.Settings, log: @escaping @Sendable (LogLine) -> Void) {
        (self.settings, self.log) = (settings, log)
    }

    func client() throws -> ClientHandle { try readyProducer().handle }

    func warmUp() throws { _ = try readyProducer() }

    func write(
        _ claims: [Int32: ClaimRecord], _ offsets: [Int32: Int64], _ metadata: GroupMetadata,
        _ goOn: () throws -> Void
    ) throws {
        try write(claims, offsets, appended: {}, goOn)
    }

    /// - Parameter appended: called before the look at what is the newest, for tests.
    func write(
        _ claims: [Int32: ClaimRecord], _ offsets: [Int32: Int64], appended: () throws -> Void,
        _ goOn: () throws -> Void
    ) throws {
        let producer = try readyProducer()
        let records = try claims.map { try $0.value.record(of: $0.key, settings.topic) }
        try goOn()
        try producer.produce(records, within: settings.requestTimeout)
        try appended()
        let newest = try newest(after: offsets)
        guard claims.allSatisfy({ newest[$0.key] == $0.value }) else { throw Overtaken() }
    }

    func close() { (producer, reader) = (nil, nil) }

    private func newest(after offsets: [Int32: Int64]) throws -> [Int32: ClaimRecord] {
        let reader = try readyReader()
        var ranges: [Int32: Range<Int64>] = [:]
        for (shard, start) in offsets {
            let end = try reader.bounds(settings.topic, shard, within: settings.requestTimeout).upperBound
            ranges[shard] = start..<max(start, end)
        }
        var newest: [Int32: ClaimRecord] = [:]
        try reader.read(settings.topic, ranges, within: settings.transactionTimeout) { record in
            guard let claim = ClaimRecord(key: record.key, value: record.value, shard: record.partition) else { return }
            newest[record.partition] = claim
        }
        return newest
    }

    private func readyReader() throws -> LogReader {
        if let reader { return reader }
        let new = try LogReader(settings.connection, group: settings.group, .uncommitted, log: log)
        reader = new
        return new
    }

    private func readyProducer() throws -> AcknowledgedProducer {
        if let producer { return producer }
        let new = try AcknowledgedProducer(settings.connection, timeout: settings.requestTimeout, log: log)
        producer = new
        return new
    }
}

extension ClaimRecord {
    func record(of shard: Int32, _ topic: String) throws(LockError) -> ProducedRecord {
        ProducedRecord(topic: topic, partition: shard, key: Self.key(shard), value: try value())
    }
}

extension ProducedRecord {
    /// What a producer writes first; whoever reads claims passes it over.
    static func warmUp(_ topic: String) -> ProducedRecord {
        ProducedRecord(topic: topic, partition: 0, key: Array("\(ClaimRecord.version)/warm-up".utf8), value: [])
    }
}
