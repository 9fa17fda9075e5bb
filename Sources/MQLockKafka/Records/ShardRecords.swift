import MQLock

/// The records of the partition that belongs to a shard, in order, from the group's committed offset on.
///
/// Reading begins at the group's last committed offset, once no earlier owner's transaction is open on it. Without a
/// committed offset it begins at the start of the partition. It reads committed records, waits for more, and ends when
/// the shard has to be released or is no longer owned, or when the task is cancelled. Then finish the record in hand.
/// Commit processed records with ``OutputBatch/commit(after:)``, in one transaction with their output.
///
/// A shard has one reader at a time: an older sequence of the same shard yields nothing more.
public struct ShardRecords: AsyncSequence, Sendable {
    /// A record, as ``OutputReader`` reads it.
    public typealias Element = OutputReader.Record

    let ownership: ShardOwnership
    let shard: Int

    /// Reading begins at the first `next()`.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(ownership, shard) }

    /// Reads the records; for one task.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private let ownership: ShardOwnership
        private let shard: Int
        private var reading: Reading?
        private var isOver = false

        init(_ ownership: ShardOwnership, _ shard: Int) { (self.ownership, self.shard) = (ownership, shard) }

        /// The next record; `nil` when the shard has to be released.
        /// - Throws: `LockError`: `notOwner` when the shard is not owned at the first call; `incompatible` when the
        ///   record at the committed offset has been deleted; `unreachable` and others as the brokers answer.
        public mutating func next() async throws -> Element? {
            guard !isOver else { return nil }
            do {
                let reading = try await started()
                if let record = try await reading.next() {
                    ownership.checkPartitioner(record)
                    return record
                }
            } catch {
                (reading, isOver) = (nil, true)
                if Task.isCancelled { return nil }
                throw error
            }
            (reading, isOver) = (nil, true)
            return nil
        }

        private mutating func started() async throws -> Reading {
            if let reading { return reading }
            let new = try await Reading(ownership, Int32(clamping: shard))
            reading = new
            return new
        }
    }
}

extension ShardOwnership {
    /// The records of a shard's partition in ``Configuration/records``, for a shard that this process owns now.
    ///
    /// ```swift
    /// try await ownership.withShard(shard) { lease in
    ///     for try await record in ownership.records(of: shard) {
    ///         let bill = try price(record)
    ///         try await output.transaction(for: lease) { batch in
    ///             batch.send("bills", key: record.key, value: bill)
    ///             batch.commit(after: record)
    ///         }
    ///     }
    /// }
    /// ```
    public func records(of shard: Int) -> ShardRecords { ShardRecords(ownership: self, shard: shard) }

    /// A record whose key belongs to another shard was written by another partitioner, or when there were fewer
    /// partitions. Reported once for each shard and run, because a lock on that key is never owned where its records
    /// are read.
    fileprivate func checkPartitioner(_ record: ShardRecords.Element) {
        guard !record.key.isEmpty else { return }
        let expected = partitioner.partition(of: record.key, count: partitions)
        guard Int(expected) != record.partition, misplaced.withLock({ $0.insert(record.partition).inserted }) else {
            return
        }
        let text = """
            the record \(record.offset) of partition \(record.partition) has a key that belongs to shard \(expected) by \
            \(partitioner): whoever writes uses another partitioner, and names and records do not meet; see mqlock doctor
            """
        board.tell(ShardEvent(.warning, shard: record.partition, reason: LossReason(.partitionLost, text)))
    }
}

/// The reading of one shard, for as long as one hold of it lasts.
private final class Reading: Sendable {
    private let hold: ShardHold
    private let watch: UInt64
    private let consumer: RecordConsumer
    private let queue: PartitionQueue
    private let signals: AsyncStream<Void>

    init(_ ownership: ShardOwnership, _ shard: Int32) async throws(LockError) {
        guard let consumer = ownership.recordConsumer else {
            throw LockError(
                .invalidConfiguration, "no records' topic is configured: use Configuration(records:group:partitions:)")
        }
        guard (0..<Int32(ownership.partitions)).contains(shard), let hold = ownership.board.hold(shard), hold.isValid
        else {
            throw LockError(
                .notOwner, "this process does not own shard \(shard) now: read its records within withShard(\(shard))")
        }
        let (stream, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        (self.consumer, self.hold, signals) = (consumer, hold, stream)
        queue = try await consumer.open(shard) { signal.yield() }
        watch = hold.onGivingUp { signal.yield() }
    }

    deinit {
        hold.forget(watch)
        consumer.close(queue)
    }

    func next() async throws(LockError) -> ShardRecords.Element? {
        var signals = signals.makeAsyncIterator()
        while hold.isValid, hold.drainUntil == nil, !Task.isCancelled {
            do throws(KafkaFailure) {
                if let record = try queue.next() { return ShardRecords.Element(record) }
            } catch {
                guard error.code.isOffsetOutOfRange else {
                    throw LockError(error, while: "reading partition \(queue.partition)")
                }
                throw LockError(
                    .incompatible,
                    """
                    the record of partition \(queue.partition) that comes next by the group's committed offset is not there \
                    any more: it was deleted before it was processed; reset the group's offsets to go on
                    """, underlying: error)
            }
            await signals.next()
        }
        return nil
    }
}
