public import MQLock

/// Reads back what owners have written: for a new owner that restores its state, and after an unknown outcome.
///
/// It reads committed records up to the current end. Records of the shard's former owner that were accepted before our
/// claim may become visible only later. The reader waits for them, and nothing of the former owner comes after. A
/// consumer that stops where it need not wait (at the last stable offset) would miss them.
///
/// ```swift
/// let reader = OutputReader(ownership)
/// let stock = try await reader.restore("stock", partitions: [shard], for: lease, into: [:]) { stock, record in
///     stock[record.key] = record.value
/// }
/// ```
public final class OutputReader: @unchecked Sendable {
    private let queue = BlockingQueue("restore")
    // Used on the queue only.
    private var readers: OnDemand<ReaderPair, LockError>

    /// Reads from the cluster of an ownership; no I/O happens yet.
    public init(_ ownership: ShardOwnership) {
        let (connection, group) = (ownership.connection, ownership.group)
        readers = OnDemand { () throws(LockError) in try ReaderPair(connection, group: group) }
    }

    /// A record that was committed.
    public struct Record: Sendable, Equatable {
        /// The record's partition.
        public let partition: Int
        /// The record's offset.
        public let offset: Int64
        /// The key; also empty when there is none.
        public let key: [UInt8]
        /// The value; `nil` when there is none.
        public let value: [UInt8]?
        /// All headers, including the stamp.
        public let headers: [RecordHeader]
        /// The writer's stamp, if a ``FencedProducer`` wrote the record; `nil` without a well-formed stamp.
        public var stamp: FenceStamp? { FenceStamp.read(headers).stamp }
    }

    /// Reduces all committed records of some partitions to a state, in the order of each partition.
    ///
    /// - Parameters:
    ///   - topic: the topic to read.
    ///   - partitions: of that topic.
    ///   - lease: the shard's lease. It has to be valid, because more records may follow those that are read before the
    ///     claim. A reader serves one call at a time; others wait.
    ///   - starts: where to begin in each partition, from 0; the default is its beginning.
    ///   - limit: for the whole call; at least the transactions' time-out, which a crash of the former owner may cost,
    ///     and the time until the broker looks for it (ten seconds more, as brokers are configured by default).
    ///   - state: the initial state.
    ///   - body: changes the state by one record, on a thread of the reader's. When it throws, reading ends.
    /// - Throws: `LockError`: `lost` when the lease is not valid before or after; `timedOut`; `cancelled`; `unreachable`
    ///   and others as the broker answers; else what `body` throws.
    public func restore<State: Sendable>(
        _ topic: String, partitions: [Int], for lease: Lease, from starts: [Int: Int64] = [:],
        within limit: Duration = .seconds(60), into state: State,
        _ body: @escaping @Sendable (inout State, Record) throws -> Void
    ) async throws -> State {
        try lease.check()
        let restored: State
        do {
            restored = try await queue.run { [self] cancellation in
                var state = state
                try read(topic, partitions, starts, limit, cancellation) { try body(&state, $0) }
                return state
            }
        } catch let failure as KafkaFailure {
            throw LockError.reading(topic, failure, limit)
        }
        try lease.check()
        return restored
    }

    private func read(
        _ topic: String, _ partitions: [Int], _ starts: [Int: Int64], _ limit: Duration, _ cancellation: Cancellation,
        _ body: (Record) throws -> Void
    ) throws {
        let deadline = ContinuousClock.now.after(limit)
        var left: Duration { ContinuousClock.now.duration(to: deadline) }
        let readers = try readers.ready()
        var places: [Int32: Int] = [:]
        for partition in partitions {
            guard let number = Int32(exactly: partition), number >= 0 else {
                throw LockError(.invalidConfiguration, "there is no partition \(partition)")
            }
            // Kafka's own negative numbers have a meaning; do not guess at it.
            guard starts[partition] ?? 0 >= 0 else {
                throw LockError(.invalidConfiguration, "partition \(partition) has no offset \(starts[partition] ?? 0)")
            }
            places[number] = partition
        }
        // The end of everything, not only of what is stable, which is all that the other reader would get.
        let bounds = try readers.uncommitted.bounds(topic, Array(places.keys), within: left)
        try readers.committed.learn(topic, within: left)
        var ranges: [Int32: Range<Int64>] = [:]
        for (number, bounds) in bounds {
            let wanted = places[number].flatMap { starts[$0] } ?? bounds.lowerBound
            ranges[number] = min(max(wanted, bounds.lowerBound), bounds.upperBound)..<bounds.upperBound
        }
        var failure: (any Error)?
        func goesOn() -> Bool { failure == nil && !cancellation.isCancelled }
        try readers.committed.read(topic, ranges, within: left, goesOn: goesOn) {
            guard goesOn() else { return }
            do { try body(Record($0)) } catch { failure = error }
        }
        if let failure { throw failure }
        if cancellation.isCancelled { throw LockError(.cancelled, "reading back was cancelled") }
    }
}

extension OutputReader.Record {
    init(_ record: LogReader.Record) {
        (partition, offset, key) = (Int(record.partition), record.offset, record.key)
        (value, headers) = (record.hasValue ? record.value : nil, record.headers)
    }
}

extension LockError {
    fileprivate static func reading(_ topic: String, _ failure: KafkaFailure, _ limit: Duration) -> LockError {
        guard failure.code.isTimeOut else {
            return LockError(failure, while: "reading back \(topic.escapedForDisplay)")
        }
        return LockError(
            .timedOut,
            """
            \(topic.escapedForDisplay) was not read to its end within \(limit.readable): a transaction may still be \
            open there
            """, underlying: failure)
    }
}
