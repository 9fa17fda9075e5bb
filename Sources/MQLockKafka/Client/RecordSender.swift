import CMQLockRdKafka
import MQLock

/// A producing client, and the outcome of each of its records. Belongs to one thread at a time.
///
/// Reports are read as events: waiting for them wakes up at the last one. The library's own `rd_kafka_flush` looks only
/// every ten milliseconds when it has to serve them itself.
final class RecordSender {
    let client: ClientHandle
    private let queue: OpaquePointer
    /// How many records have no report yet.
    private var outstanding = 0
    private var failure: KafkaFailure?
    /// When a broker accepted the last record, in milliseconds since 1970, by its own clock; nil unless the topic
    /// records that.
    private(set) var brokerTime: Int64?

    /// - Parameters:
    ///   - timeout: after which the library gives up on a record, and reports that.
    ///   - own: further properties.
    init(
        _ connection: KafkaConnection, timeout: Duration, _ own: [(name: String, value: String)],
        log: @escaping @Sendable (LogLine) -> Void
    ) throws(LockError) {
        let limits = [
            ("message.timeout.ms", timeout.inMilliseconds), ("socket.timeout.ms", timeout.inMilliseconds),
            // There is nothing to batch.
            ("linger.ms", "0"),
        ]
        client = try ClientHandle(
            .producer, ClientSettings(connection: connection, own: own + limits), events: RD_KAFKA_EVENT_DR, log: log)
        guard let queue = rd_kafka_queue_get_main(client.raw) else {
            throw LockError(.internalError, "librdkafka's producer has no queue")
        }
        self.queue = queue
    }

    deinit { rd_kafka_queue_destroy(queue) }

    func send(_ record: ProducedRecord) throws(KafkaFailure) {
        try record.produce(client)
        outstanding += 1
    }

    /// Waits for the reports of all records, and starts counting again.
    /// - Returns: why a record was not written, if any was not.
    func reports(within limit: Duration) throws(KafkaFailure) -> KafkaFailure? {
        let deadline = ContinuousClock.now.after(limit)
        while outstanding > 0 {
            let left = ContinuousClock.now.duration(to: deadline)
            guard let event = rd_kafka_queue_poll(queue, left.pollLimit) else {
                if left <= .zero { throw KafkaFailure(RD_KAFKA_RESP_ERR__TIMED_OUT) }
                continue
            }
            defer { rd_kafka_event_destroy(event) }
            guard rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR else { continue }
            while let message = rd_kafka_event_message_next(event) {
                outstanding -= 1
                if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR { failure = KafkaFailure(message.pointee.err) }
                var kind = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE
                let time = rd_kafka_message_timestamp(message, &kind)
                if kind == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME { brokerTime = time }
            }
        }
        defer { failure = nil }
        return failure
    }
}
