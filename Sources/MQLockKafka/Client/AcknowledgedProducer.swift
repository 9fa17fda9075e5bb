import CRdKafka
import MQLock

/// A producer without transactions, whose records all replicas have when a call returns. Blocks; belongs to one thread at
/// a time.
final class AcknowledgedProducer: @unchecked Sendable {
    private let client: ClientHandle
    private let queue: OpaquePointer

    /// - Parameter timeout: after which a record that was not acknowledged has failed.
    init(
        _ connection: KafkaConnection, timeout: Duration, log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        let milliseconds = String(timeout.nanoseconds / 1_000_000)
        client = try ClientHandle(
            .producer,
            ClientSettings(
                connection: connection,
                own: [
                    ("acks", "all"), ("message.timeout.ms", milliseconds), ("socket.timeout.ms", milliseconds),
                    ("linger.ms", "0"),
                ]), events: RD_KAFKA_EVENT_DR, log: log)
        guard let queue = rd_kafka_queue_get_main(client.raw) else {
            throw LockError(.internalError, "librdkafka's producer has no queue")
        }
        self.queue = queue
    }

    deinit { rd_kafka_queue_destroy(queue) }

    /// The client itself, for questions about the cluster.
    var handle: ClientHandle { client }

    /// Writes these records and waits for every acknowledgement. When it throws, any of them may have been written.
    func produce(_ records: [ProducedRecord], within limit: Duration) throws(KafkaFailure) {
        for record in records { try record.produce(client) }
        // The library itself gives up on a record at its time-out, so that every one is reported.
        let deadline = ContinuousClock.now.advanced(by: limit * 2)
        var reported = 0
        var failure: KafkaFailure?
        while reported < records.count {
            let left = ContinuousClock.now.duration(to: deadline)
            guard left > .zero else { throw KafkaFailure(RD_KAFKA_RESP_ERR__TIMED_OUT) }
            guard let event = rd_kafka_queue_poll(queue, Int32(clamping: max(1, left.nanoseconds / 1_000_000))) else {
                continue
            }
            defer { rd_kafka_event_destroy(event) }
            guard rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR else { continue }
            while let message = rd_kafka_event_message_next(event) {
                reported += 1
                if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR { failure = KafkaFailure(message.pointee.err) }
            }
        }
        if let failure { throw failure }
    }
}
