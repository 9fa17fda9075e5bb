import CMQLockRdKafka
import MQLock

/// What a reader has to know of a partition of the lock log before it follows it.
struct LogLook: Sendable {
    /// The first offset, and the one after the last.
    let bounds: Range<Int64>
    /// The last records: they name a snapshot, and show what kind of topic it is.
    let last: [LogEntry]
}

extension LogFollower {
    /// A client that only looks.
    ///
    /// Not the one that follows: at the end of the log a fetch waits for up to half a second, and the library sends no other
    /// to that broker meanwhile. So a client that has come to the end could go back to the snapshot only after that.
    static func scout(
        _ connection: KafkaConnection, topic: String, log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) -> LogFollower {
        try LogFollower(connection, topic: topic, fetchesWait: .milliseconds(10), log: log)
    }

    /// Looks at a partition; nil without a topic. Blocks.
    /// - Parameter tail: how many of the last records to read.
    func look(
        at partition: Int32, tail: Int64, within limit: Duration
    ) throws(KafkaFailure) -> (partitions: Int, look: LogLook)? {
        let deadline = ContinuousClock.now.after(limit)
        guard let (count, bounds) = try bounds(partition, within: limit) else { return nil }
        let first = max(bounds.lowerBound, bounds.upperBound - tail)
        let last = try read(partition, first..<max(first, bounds.upperBound), until: deadline)
        return (count, LogLook(bounds: bounds, last: last))
    }

    private func read(
        _ partition: Int32, _ range: Range<Int64>, until deadline: ContinuousClock.Instant
    ) throws(KafkaFailure) -> [LogEntry] {
        guard !range.isEmpty else { return [] }
        try follow(partition, from: range.lowerBound)
        defer { stop(partition) }
        var entries: [LogEntry] = []
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { throw KafkaFailure(RD_KAFKA_RESP_ERR__TIMED_OUT) }
            switch poll(for: left) {
            case .entry(_, let entry):
                if range.contains(entry.offset) { entries.append(entry) }
                if entry.offset >= range.upperBound - 1 { return entries }
            case .end(_, let offset): if offset >= range.upperBound { return entries }
            case .lostPlace: throw KafkaFailure(RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
            // The library recovers from temporary failures.
            case .failed(_, let failure): if !failure.code.isTransient { throw failure }
            case nil: break
            }
        }
    }
}
