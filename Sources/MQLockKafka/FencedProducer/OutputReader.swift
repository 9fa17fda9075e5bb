public import MQLock

/// Reads back what owners have written: for a new owner that restores its state, and after an outcome that is not known.
///
/// It reads what is committed, up to the end of now. What a former owner of the shard had been accepted for before our
/// claim may become visible only later: it is waited for, and nothing of it comes after. A consumer that stops where it
/// is not kept waiting (at the last stable offset) would miss that.
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
        /// Where it is.
        public let partition: Int
        /// Its place there.
        public let offset: Int64
        /// The key; empty also when there is none.
        public let key: [UInt8]
        /// The value; `nil` when there is none.
        public let value: [UInt8]?
        /// All headers, the stamp among them.
        public let headers: [RecordHeader]
        /// Whose record it is, if it was written by a ``FencedProducer``; `nil` without a well-formed stamp.
        public var stamp: FenceStamp? { FenceStamp.read(headers).stamp }
    }

    /// Reduces all committed records of some partitions to a state, in the order of each partition.
    ///
    /// - Parameters:
    ///   - topic: what to read.
    ///   - partitions: of that topic.
    ///   - lease: the shard's: it has to be valid, since what is read before the claim may be followed by more. One reader
    ///     serves one call at a time; others wait.
    ///   - starts: where to begin in each partition, from 0; at its beginning where nothing is said.
    ///   - limit: for everything, in all; at least the transactions' time-out, which a crash of the former owner may take,
    ///     and the time that the broker takes to see to it (ten seconds more, as brokers are configured by default).
    ///   - state: to begin with.
    ///   - body: changes the state by one record, on a thread of the reader's. When it throws, that ends the reading.
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
            // Kafka's own negative ones have a meaning that is not to be guessed at.
            guard starts[partition] ?? 0 >= 0 else {
                throw LockError(.invalidConfiguration, "partition \(partition) has no offset \(starts[partition] ?? 0)")
            }
            places[number] = partition
        }
        // The end of everything, not only of what is stable, which is what the other reader would be told.
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
