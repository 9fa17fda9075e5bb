public import MQLock

/// The records that one transaction of a ``FencedProducer`` writes, and the offsets that it commits: all of them, or
/// none.
public struct OutputBatch: Sendable {
    private(set) var records: [ProducedRecord] = []
    /// By topic and partition.
    private(set) var offsets: [String: [Int32: Int64]] = [:]
    private let leases: [Lease]
    /// The lock topic, whose offsets are not the service's, and the topic of records if there is one.
    private let topics: (locks: String, records: String?)
    private(set) var failure: LockError?

    init(_ leases: [Lease], locks: String = "", records: String? = nil) {
        (self.leases, topics) = (leases, (locks, records))
    }

    /// How many records there are.
    public var count: Int { records.count }

    /// Adds a record.
    /// - Parameters:
    ///   - topic: the topic to write to.
    ///   - partition: from 0; an impossible number fails the transaction. `nil` means the key's partition, as in Java's
    ///     client. If the topic has as many partitions as the lock topic, a record whose key is a lock's name goes to
    ///     the partition of the name's shard.
    ///   - key: `nil` for none.
    ///   - value: `nil` for none; on a compacted topic this deletes the key.
    ///   - headers: further headers; those of the stamp are added.
    ///   - lease: whose stamp the record carries; one of the transaction's, the first by default.
    public mutating func send(
        _ topic: String, partition: Int? = nil, key: [UInt8]?, value: [UInt8]?, headers: [RecordHeader] = [],
        under lease: Lease? = nil
    ) {
        guard let lease = leases.first(where: { lease == nil || $0.id == lease?.id }) else {
            failure = LockError(.invalidConfiguration, "a record can be written under leases of its transaction only")
            return
        }
        if headers.contains(where: { FenceStamp.isReserved($0.name) }) {
            failure = LockError(.invalidConfiguration, "the headers of the stamp are set by the producer alone")
        }
        let number = partition.map { Int32(exactly: $0) ?? -1 }
        if let partition, let number, number < 0 {
            failure = LockError(
                .invalidConfiguration, "\(topic.escapedForDisplay) has no partition \(partition): they count from 0")
        }
        records.append(
            ProducedRecord(
                topic: topic, partition: number ?? ProducedRecord.byKey,
                key: key, value: value, headers: headers + FenceStamp(lease).recordHeaders))
    }

    /// Commits, for the ownership's group, where reading a partition continues. It is committed together with the
    /// records of this batch, or not at all, and only while this process owns the shard of that number. For records
    /// that the service's own client read, with the partition assigned by hand; for ``ShardOwnership/records(of:)`` see
    /// ``commit(after:)``.
    ///
    /// The largest offset of a partition counts.
    /// - Parameters:
    ///   - offset: of the next record to be read, as in Kafka: one more than that of the last processed record.
    ///   - topic: any but the lock topic.
    ///   - partition: the number of the shard of one of the transaction's leases; any other fails the transaction.
    public mutating func commit(offset: Int64, of topic: String, partition: Int) {
        guard let number = Int32(exactly: partition), number >= 0, offset >= 0 else {
            failure = LockError(
                .invalidConfiguration, "\(topic.escapedForDisplay) has no offset \(offset) in a partition \(partition)")
            return
        }
        guard topic != topics.locks else {
            failure = LockError(.invalidConfiguration, "the offsets of the lock topic are those of claims")
            return
        }
        offsets[topic, default: [:]][number] = max(offset, offsets[topic]?[number] ?? 0)
    }

    /// Commits that a record of ``ShardOwnership/records(of:)``, and all before it in its partition, are done; like
    /// ``commit(offset:of:partition:)``.
    public mutating func commit(after record: ShardRecords.Element) {
        guard let topic = topics.records else {
            failure = LockError(
                .invalidConfiguration, "no records' topic is configured whose offsets could be committed")
            return
        }
        commit(offset: record.offset + 1, of: topic, partition: record.partition)
    }

    /// Adds a record of text; see ``send(_:partition:key:value:headers:under:)-(_,_,[UInt8]?,_,_,_)``.
    public mutating func send(
        _ topic: String, partition: Int? = nil, key: String, value: String, headers: [RecordHeader] = [],
        under lease: Lease? = nil
    ) {
        send(
            topic, partition: partition, key: Array(key.utf8), value: Array(value.utf8), headers: headers, under: lease)
    }
}
