import CRdKafka
import MQLock

/// What became of each record that a producer was given. Belongs to the producer's thread.
///
/// Taken as events: waiting for them wakes up at the last one, while the library's own `rd_kafka_flush` looks every ten
/// milliseconds when it has to serve them itself.
final class DeliveryReports {
    private let queue: OpaquePointer
    /// How many records have no report yet.
    private var outstanding = 0
    private var failure: KafkaFailure?

    /// What the client has to be made with.
    static let events = RD_KAFKA_EVENT_DR

    init(_ client: ClientHandle) throws(LockError) {
        guard let queue = rd_kafka_queue_get_main(client.raw) else {
            throw LockError(.internalError, "librdkafka's producer has no queue")
        }
        self.queue = queue
    }

    deinit { rd_kafka_queue_destroy(queue) }

    /// A record has been taken.
    func expectOne() { outstanding += 1 }

    /// Waits for the reports of all records, and begins anew.
    /// - Returns: why one of them was not written, if any was not.
    func all(within limit: Duration) throws(KafkaFailure) -> KafkaFailure? {
        let deadline = ContinuousClock.now.advanced(by: limit)
        while outstanding > 0 {
            let left = max(.zero, ContinuousClock.now.duration(to: deadline))
            guard let event = rd_kafka_queue_poll(queue, Int32(clamping: (left.nanoseconds + 999_999) / 1_000_000))
            else {
                if left == .zero { throw KafkaFailure(RD_KAFKA_RESP_ERR__TIMED_OUT) }
                continue
            }
            defer { rd_kafka_event_destroy(event) }
            guard rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR else { continue }
            while let message = rd_kafka_event_message_next(event) {
                outstanding -= 1
                if message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR { failure = KafkaFailure(message.pointee.err) }
            }
        }
        defer { failure = nil }
        return failure
    }
}
