import CMQLockRdKafka
import MQLock

/// Reads partitions outside of the group, and asks for the group's offsets. Blocks; belongs to one thread at a time.
final class LogReader: @unchecked Sendable {
    /// A record that was read.
    struct Record: Sendable {
        let partition: Int32
        let offset: Int64
        let key: [UInt8]
        let value: [UInt8]
        /// Whether there is a value at all.
        let hasValue: Bool
        let headers: [RecordHeader]
    }

    /// Which records are visible.
    enum Isolation: String {
        /// Every record, even those of open and aborted transactions.
        case uncommitted = "read_uncommitted"
        /// Only decided records, and offsets only when no transaction is open on them.
        case committed = "read_committed"
    }

    private let client: ClientHandle
    private var knownTopics: Set<String> = []

    init(
        _ connection: KafkaConnection, group: String, _ isolation: Isolation,
        log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        client = try ClientHandle(
            .consumer,
            ClientSettings(
                connection: connection,
                own: [
                    // The group is only for questions about its offsets: this client never joins it.
                    ("group.id", group), ("isolation.level", isolation.rawValue), ("enable.auto.commit", "false"),
                    ("enable.auto.offset.store", "false"), ("enable.partition.eof", "true"),
                    // A deleted offset is reported, so the reader decides where to begin again.
                    ("auto.offset.reset", "error"), ("check.crcs", "true"),
                    // The end of a partition is reported by an empty answer, and a transaction's marker is at the end:
                    // each claim waits that long. One that waits for open transactions asks less often.
                    ("fetch.wait.max.ms", isolation == .uncommitted ? "1" : "10"),
                ]), log: log)
        rd_kafka_poll_set_consumer(client.raw)
    }

    /// The group's offsets. A read-committed reader waits until no transaction is open on them. Nil is none.
    func groupOffsets(
        _ topic: String, _ partitions: [Int32], within limit: Duration
    ) throws(KafkaFailure) -> [Int32: Int64?] {
        var list = TopicPartitions(topic, partitions)
        let code = try list.fill { rd_kafka_committed(client.raw, $0, limit.callLimit) }
        try KafkaFailure.check(code)
        var offsets: [Int32: Int64?] = [:]
        for entry in list.entries {
            if let failure = entry.failure { throw failure }
            offsets.updateValue(entry.offset >= 0 ? entry.offset : nil, forKey: entry.partition)
        }
        return offsets
    }

    /// The first offset of a partition and the one after the last, now.
    func bounds(_ topic: String, _ partition: Int32, within limit: Duration) throws(KafkaFailure) -> Range<Int64> {
        try bounds(topic, [partition], within: limit)[partition] ?? 0..<0
    }

    /// The first offset and the one after the last, now, of each of these partitions. Two requests to each broker that
    /// leads any of them, however many there are: one by one took 2 to 3 ms each on a real broker.
    func bounds(
        _ topic: String, _ partitions: [Int32], within limit: Duration
    ) throws(KafkaFailure) -> [Int32: Range<Int64>] {
        let deadline = ContinuousClock.now.after(limit)
        guard try client.learn(topic, &knownTopics, within: limit) else {
            throw KafkaFailure(RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        }
        guard !partitions.isEmpty else { return [:] }
        var ends: [[Int32: Int64]] = []
        for end in [RD_KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_END] {
            // The library asks for the first and the last offset by these two values instead of a time, as the protocol
            // does.
            var list = TopicPartitions(
                topic, offsets: Dictionary(partitions.map { ($0, Int64(end)) }, uniquingKeysWith: { $1 }))
            let left = ContinuousClock.now.duration(to: deadline)
            try KafkaFailure.check(
                try list.fill { rd_kafka_offsets_for_times(client.raw, $0, left.callLimit) })
            var offsets: [Int32: Int64] = [:]
            for entry in list.entries {
                if let failure = entry.failure { throw failure }
                guard entry.offset >= 0 else { throw KafkaFailure(RD_KAFKA_RESP_ERR__TIMED_OUT) }
                offsets[entry.partition] = entry.offset
            }
            ends.append(offsets)
        }
        return ends[0].reduce(into: [:]) { bounds, low in
            bounds[low.key] = low.value..<max(low.value, ends[1][low.key] ?? low.value)
        }
    }

    /// What the cluster says about a topic.
    func topic(_ name: String, within limit: Duration) throws(KafkaFailure) -> ClusterMetadata.Topic? {
        try ClusterMetadata.topic(name, client, within: limit)
    }

    /// Asks for a topic that is new to the client: by itself it would look for it only once a second.
    func learn(_ topic: String, within limit: Duration) throws(KafkaFailure) {
        _ = try client.learn(topic, &knownTopics, within: limit)
    }

    /// Whether the last record of any partition is one of the lock log.
    func isLockLog(_ topic: String, partitions: Int, within limit: Duration) throws(KafkaFailure) -> Bool {
        let ends = try bounds(topic, (0..<Int32(partitions)).map { $0 }, within: limit)
            .mapValues { max($0.lowerBound, $0.upperBound - 1)..<$0.upperBound }
        var isLockLog = false
        try read(topic, ends, within: limit) { if LogRecord.isOurs($0.value) { isLockLog = true } }
        return isLockLog
    }

    /// Reads every record of these ranges, in the order of each partition.
    ///
    /// A read-committed reader waits for transactions that are open in these ranges.
    /// - Parameter goesOn: asked from time to time; false ends the read early.
    /// - Throws: `_TIMED_OUT` when that takes longer than `limit`.
    func read(
        _ topic: String, _ ranges: [Int32: Range<Int64>], within limit: Duration, goesOn: () -> Bool = { true },
        _ body: (Record) -> Void
    ) throws(KafkaFailure) {
        var open = ranges.filter { !$0.value.isEmpty }
        guard !open.isEmpty else { return }
        let deadline = ContinuousClock.now.after(limit)
        let starts = TopicPartitions(topic, offsets: open.mapValues(\.lowerBound))
        try KafkaFailure.check(try starts.withList { rd_kafka_assign(client.raw, $0) })
        defer { rd_kafka_assign(client.raw, nil) }
        while !open.isEmpty, goesOn() {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { throw KafkaFailure(RD_KAFKA_RESP_ERR__TIMED_OUT) }
            guard let message = rd_kafka_consumer_poll(client.raw, min(left, .milliseconds(200)).callLimit) else {
                continue
            }
            defer { rd_kafka_message_destroy(message) }
            let partition = message.pointee.partition
            switch message.pointee.err {
            case RD_KAFKA_RESP_ERR_NO_ERROR:
                guard let range = open[partition], range.contains(message.pointee.offset) else { break }
                body(Record(message))
                if message.pointee.offset == range.upperBound - 1 { open[partition] = nil }
            case RD_KAFKA_RESP_ERR__PARTITION_EOF:
                // The current end is after the earlier one, even when markers or compaction removed the last offsets.
                if let range = open[partition], message.pointee.offset >= range.upperBound { open[partition] = nil }
            case let code:
                let failure = KafkaFailure(code, rd_kafka_message_errstr(message).map { String(cString: $0) })
                // The library recovers from temporary failures; the deadline is ours.
                guard failure.code.isTransient else { throw failure }
            }
        }
    }
}

extension LogReader.Record {
    init(_ pointer: UnsafeMutablePointer<rd_kafka_message_t>) {
        let message = pointer.pointee
        partition = message.partition
        offset = message.offset
        key = [UInt8](UnsafeRawBufferPointer(start: message.key, count: message.key == nil ? 0 : message.key_len))
        value = [UInt8](UnsafeRawBufferPointer(start: message.payload, count: message.payload == nil ? 0 : message.len))
        hasValue = message.payload != nil
        headers = Self.headers(of: pointer)
    }

    /// From the library's own message: it finds the headers behind the pointer.
    private static func headers(of message: UnsafeMutablePointer<rd_kafka_message_t>) -> [RecordHeader] {
        var list: OpaquePointer?
        guard rd_kafka_message_headers(message, &list) == RD_KAFKA_RESP_ERR_NO_ERROR, let list else { return [] }
        var headers: [RecordHeader] = []
        var name: UnsafePointer<CChar>?
        var value: UnsafeRawPointer?
        var size = 0
        while rd_kafka_header_get_all(list, headers.count, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR {
            headers.append(
                RecordHeader(
                    name.map { String(cString: $0) } ?? "",
                    value.map { [UInt8](UnsafeRawBufferPointer(start: $0, count: size)) }))
        }
        return headers
    }
}
