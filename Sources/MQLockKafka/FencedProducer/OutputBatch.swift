public import MQLock

/// The records that one transaction of a ``FencedProducer`` writes: all of them, or none.
public struct OutputBatch: Sendable {
    private(set) var records: [ProducedRecord] = []
    private let leases: [Lease]
    private(set) var failure: LockError?

    init(_ leases: [Lease]) { self.leases = leases }

    /// How many records there are.
    public var count: Int { records.count }

    /// Adds a record.
    /// - Parameters:
    ///   - topic: where to.
    ///   - partition: from 0; one that cannot be has the transaction fail. `nil` is the one that the key belongs to, as Java's client has it: with as many partitions as the
    ///     lock topic, a record whose key is a lock's name goes to the partition of the name's shard.
    ///   - key: `nil` is none.
    ///   - value: `nil` is none: on a compacted topic, that deletes the key.
    ///   - headers: further ones; those of the stamp are added.
    ///   - lease: whose stamp it carries, one of the transaction's; the first by default.
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

    /// Adds a record of text; see ``send(_:partition:key:value:headers:under:)-(_,_,[UInt8]?,_,_,_)``.
    public mutating func send(
        _ topic: String, partition: Int? = nil, key: String, value: String, headers: [RecordHeader] = [],
        under lease: Lease? = nil
    ) {
        send(
            topic, partition: partition, key: Array(key.utf8), value: Array(value.utf8), headers: headers, under: lease)
    }
}
