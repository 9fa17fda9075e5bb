import CMQLockRdKafka
import MQLock

/// Reads partitions of the lock topic as they grow, without a group. Belongs to one thread, except where marked.
final class LogFollower: @unchecked Sendable {
    enum Event: Sendable {
        case entry(partition: Int32, LogEntry)
        /// There is nothing before this offset, for now.
        case end(partition: Int32, Int64)
        /// The next record is not there any more.
        case lostPlace(partition: Int32)
        case failed(partition: Int32, KafkaFailure)
    }

    private let client: ClientHandle
    private let topic: String
    private let handle: OpaquePointer
    private let queue: OpaquePointer
    private let main: OpaquePointer
    private var following: Set<Int32> = []

    /// - Parameter fetchesWait: how long a fetch at the end of the log waits for records; nil leaves it to the connection.
    init(
        _ connection: KafkaConnection, topic: String, fetchesWait: Duration? = nil,
        log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        self.topic = topic
        let waits = fetchesWait.map { [("fetch.wait.max.ms", $0.inMilliseconds)] } ?? []
        client = try ClientHandle(
            .consumer,
            ClientSettings(
                connection: connection,
                own: [
                    // Nobody should write transactions. A program that does must not keep readers waiting.
                    ("isolation.level", "read_uncommitted"), ("enable.partition.eof", "true"),
                    // A record that was deleted before it was read is the end of the session †.
                    ("auto.offset.reset", "error"), ("check.crcs", "true"), ("fetch.min.bytes", "1"),
                    ("fetch.error.backoff.ms", "50"),
                ] + waits), events: RD_KAFKA_EVENT_ERROR, log: log)
        guard let handle = rd_kafka_topic_new(client.raw, topic, nil), let queue = rd_kafka_queue_new(client.raw),
            let main = rd_kafka_queue_get_main(client.raw)
        else { throw LockError(.internalError, "librdkafka's consumer has no queue") }
        (self.handle, self.queue, self.main) = (handle, queue, main)
    }

    deinit {
        for partition in following { rd_kafka_consume_stop(handle, partition) }
        rd_kafka_queue_destroy(main)
        rd_kafka_queue_destroy(queue)
        rd_kafka_topic_destroy(handle)
    }

    /// Continues to read from this offset, and from no other offset of that partition.
    func follow(_ partition: Int32, from offset: Int64) throws(KafkaFailure) {
        stop(partition)
        guard rd_kafka_consume_start_queue(handle, partition, offset, queue) == 0 else {
            throw KafkaFailure(rd_kafka_last_error())
        }
        following.insert(partition)
    }

    func stop(_ partition: Int32) {
        if following.remove(partition) != nil { rd_kafka_consume_stop(handle, partition) }
    }

    /// Waits for an event, a wake-up or the end of the time.
    func poll(for limit: Duration) -> Event? {
        guard let message = rd_kafka_consume_queue(queue, limit.pollLimit) else { return nil }
        defer { rd_kafka_message_destroy(message) }
        let partition = message.pointee.partition
        switch message.pointee.err {
        case RD_KAFKA_RESP_ERR_NO_ERROR:
            func bytes(_ start: UnsafeMutableRawPointer?, _ count: Int) -> [UInt8] {
                [UInt8](UnsafeRawBufferPointer(start: start, count: start == nil ? 0 : count))
            }
            let content = LogRecord.read(
                bytes(message.pointee.payload, message.pointee.len),
                key: bytes(message.pointee.key, message.pointee.key_len))
            var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
            let timestamp = max(0, rd_kafka_message_timestamp(message, &kind))
            return .entry(
                partition: partition,
                LogEntry(offset: message.pointee.offset, timestamp: timestamp, content: content))
        case RD_KAFKA_RESP_ERR__PARTITION_EOF: return .end(partition: partition, message.pointee.offset)
        case let code:
            let failure = KafkaFailure(code, rd_kafka_message_errstr(message).map { String(cString: $0) })
            return failure.code.isOffsetOutOfRange
                ? .lostPlace(partition: partition) : .failed(partition: partition, failure)
        }
    }

    /// Ends the current ``poll(for:)``, or else the next one. From any thread.
    func wake() { rd_kafka_queue_yield(queue) }

    /// Asks for the topic: by itself the client would look for one that is new to it only once a second. Blocks. From
    /// any thread.
    func learn(within limit: Duration) throws(KafkaFailure) {
        _ = try ClusterMetadata.partitionCount(of: topic, client, within: limit)
    }

    /// The number of the topic's partitions, nil without a topic, and the bounds of one partition. Blocks. From any
    /// thread.
    func bounds(
        _ partition: Int32, within limit: Duration
    ) throws(KafkaFailure) -> (partitions: Int, offsets: Range<Int64>)? {
        do throws(KafkaFailure) {
            // First, as in ``learn(within:)``.
            guard let count = try ClusterMetadata.partitionCount(of: topic, client, within: limit) else { return nil }
            guard partition < count else { return (count, 0..<0) }
            var (low, high): (Int64, Int64) = (0, 0)
            try KafkaFailure.check(
                rd_kafka_query_watermark_offsets(client.raw, topic, partition, &low, &high, limit.callLimit))
            return (count, low..<max(low, high))
        } catch {
            // The failure does not say why a connection fails; an event does.
            throw client.nextError { $0.code.needsAttention != nil } ?? error
        }
    }
}

/// Writes records of the lock log in order, each at least once, or reports that it was not written. Belongs to one
/// thread, except where marked.
final class LogWriter: @unchecked Sendable {
    private let client: ClientHandle
    private let queue: OpaquePointer
    private let topic: String
    private var outstanding = 0

    /// - Parameter ttl: after which the writer gives up on a record that was not acknowledged.
    init(
        _ connection: KafkaConnection, topic: String, ttl: Duration,
        log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        self.topic = topic
        client = try ClientHandle(
            .producer,
            ClientSettings(
                connection: connection,
                own: [
                    ("enable.idempotence", "true"), ("acks", "all"), ("linger.ms", "0"),
                    ("message.timeout.ms", ttl.inMilliseconds), ("socket.timeout.ms", ttl.inMilliseconds),
                ]), events: RD_KAFKA_EVENT_DR, log: log)
        guard let queue = rd_kafka_queue_get_main(client.raw) else {
            throw LockError(.internalError, "librdkafka's producer has no queue")
        }
        self.queue = queue
    }

    deinit { rd_kafka_queue_destroy(queue) }

    /// Asks for the topic: by itself the client would look for one that is new to it only once a second. Blocks. From
    /// any thread.
    func learn(within limit: Duration) throws(KafkaFailure) {
        _ = try ClusterMetadata.partitionCount(of: topic, client, within: limit)
    }

    /// Queues a record.
    /// - Parameter id: comes back with the record's report.
    func write(_ record: LogRecord, to partition: Int32, id: UInt) throws(KafkaFailure) {
        try ProducedRecord(topic: topic, partition: partition, key: nil, value: record.bytes)
            .produce(client, id: id)
        outstanding += 1
    }

    /// What became of records, as far as it is known.
    func reports(within limit: Duration = .zero) -> [(id: UInt, failure: KafkaFailure?)] {
        var reports: [(id: UInt, failure: KafkaFailure?)] = []
        var limit = limit
        while outstanding > 0, let event = rd_kafka_queue_poll(queue, limit.pollLimit) {
            defer { rd_kafka_event_destroy(event) }
            limit = .zero
            guard rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR else { continue }
            while let message = rd_kafka_event_message_next(event) {
                outstanding -= 1
                let code = message.pointee.err
                reports.append(
                    (
                        UInt(bitPattern: message.pointee._private),
                        code == RD_KAFKA_RESP_ERR_NO_ERROR ? nil : KafkaFailure(code)
                    ))
            }
        }
        return reports
    }

    /// Waits until every record is written or given up on.
    func finish(within limit: Duration) {
        let deadline = ContinuousClock.now.after(limit)
        while outstanding > 0, ContinuousClock.now < deadline {
            _ = reports(within: ContinuousClock.now.duration(to: deadline))
        }
    }

    /// What made the client useless, if anything did.
    var fatalError: KafkaFailure? { client.fatalError }
}
