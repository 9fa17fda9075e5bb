import CMQLockRdKafka
import ExamplesShared
import Foundation

/// A client of librdkafka: as little as the example needs. A service has its own Kafka client here.
class KafkaClient: @unchecked Sendable {
    let raw: OpaquePointer
    let topic: String

    fileprivate init(
        _ kind: rd_kafka_type_t, brokers: String, topic: String, _ properties: [String: String], events: Int32 = 0
    ) throws {
        guard let configuration = rd_kafka_conf_new() else { throw ExampleError("out of memory") }
        var text = [CChar](repeating: 0, count: 512)
        for (name, value) in properties.merging(
            ["bootstrap.servers": brokers, "log_level": "3"], uniquingKeysWith: { $1 })
        {
            guard rd_kafka_conf_set(configuration, name, value, &text, text.count) == RD_KAFKA_CONF_OK else {
                rd_kafka_conf_destroy(configuration)
                throw ExampleError("librdkafka does not take \(name)")
            }
        }
        rd_kafka_conf_set_events(configuration, events)
        guard let raw = rd_kafka_new(kind, configuration, &text, text.count) else {
            rd_kafka_conf_destroy(configuration)
            throw ExampleError("librdkafka makes no client")
        }
        (self.raw, self.topic) = (raw, topic)
    }

    deinit { rd_kafka_destroy(raw) }

    static func check(_ code: rd_kafka_resp_err_t, _ what: String) throws {
        guard code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        throw ExampleError("\(what): \(String(cString: rd_kafka_err2str(code)))")
    }
}

/// Writes movements. Blocks: for a program that does nothing else meanwhile.
final class MovementWriter: KafkaClient, @unchecked Sendable {
    init(brokers: String, topic: String) throws {
        try super.init(
            RD_KAFKA_PRODUCER, brokers: brokers, topic: topic,
            [
                // An article's movements are in the partition that its shard's owner reads: a name's shard has the
                // number of the partition to which Java's default partitioner sends the key.
                "partitioner": "murmur2",
                // Nothing twice when an answer is lost.
                "enable.idempotence": "true",
            ], events: RD_KAFKA_EVENT_DR)
    }

    /// Returns when the cluster has them all.
    func write(_ movements: [Movement]) throws {
        for movement in movements { try enqueue(movement) }
        guard let queue = rd_kafka_queue_get_main(raw) else { throw ExampleError("no queue") }
        defer { rd_kafka_queue_destroy(queue) }
        var missing = movements.count
        let deadline = ContinuousClock.now.advanced(by: .seconds(30))
        while missing > 0, ContinuousClock.now < deadline {
            guard let event = rd_kafka_queue_poll(queue, 1000) else { continue }
            defer { rd_kafka_event_destroy(event) }
            while let message = rd_kafka_event_message_next(event) {
                try Self.check(message.pointee.err, "writing a movement")
                missing -= 1
            }
        }
        if missing > 0 { throw ExampleError("\(missing) movements are not known to be written") }
    }

    private func enqueue(_ movement: Movement) throws {
        var key = Array(movement.article.utf8)
        var value = Array(String(movement.delta).utf8)
        let error: OpaquePointer? = topic.withCString { topic in
            key.withUnsafeMutableBytes { key in
                value.withUnsafeMutableBytes { value in
                    var fields = [rd_kafka_vu_t](repeating: rd_kafka_vu_t(), count: 4)
                    fields[0].vtype = RD_KAFKA_VTYPE_TOPIC
                    fields[0].u.cstr = topic
                    fields[1].vtype = RD_KAFKA_VTYPE_KEY
                    fields[1].u.mem = .init(ptr: key.baseAddress, size: key.count)
                    fields[2].vtype = RD_KAFKA_VTYPE_VALUE
                    fields[2].u.mem = .init(ptr: value.baseAddress, size: value.count)
                    fields[3].vtype = RD_KAFKA_VTYPE_MSGFLAGS
                    fields[3].u.i = Int32(RD_KAFKA_MSG_F_COPY)
                    return rd_kafka_produceva(raw, fields, fields.count)
                }
            }
        }
        guard let error else { return }
        defer { rd_kafka_error_destroy(error) }
        throw ExampleError("writing a movement: \(String(cString: rd_kafka_error_string(error)))")
    }
}

/// Reads one partition from a given offset, in no consumer group: the owner of the shard is the reader, and the shard's
/// own file says where it continues.
final class MovementReader: KafkaClient, @unchecked Sendable {
    private let partition: Int32
    private let queue = DispatchQueue(label: "movements")

    init(brokers: String, topic: String, partition: Int, from offset: Int64) throws {
        self.partition = Int32(partition)
        try super.init(
            RD_KAFKA_CONSUMER, brokers: brokers, topic: topic,
            [
                // Without a group no offset is stored anywhere, but librdkafka needs a name.
                "group.id": "unused", "enable.auto.commit": "false", "enable.auto.offset.store": "false",
                // Movements that were deleted before they were applied are an error to report.
                "auto.offset.reset": "error", "fetch.wait.max.ms": "50",
            ])
        rd_kafka_poll_set_consumer(raw)
        guard let list = rd_kafka_topic_partition_list_new(1) else { throw ExampleError("out of memory") }
        defer { rd_kafka_topic_partition_list_destroy(list) }
        rd_kafka_topic_partition_list_add(list, topic, self.partition).pointee.offset = offset
        try Self.check(rd_kafka_assign(raw, list), "assigning \(topic)/\(partition)")
    }

    /// The next records, at most 20; none if none came within a tenth of a second. No thread of Swift's waits.
    func next() async throws -> [Entry] {
        try await withCheckedThrowingContinuation { continuation in
            queue.async { [self] in continuation.resume(with: Result { try poll() }) }
        }
    }

    private func poll() throws -> [Entry] {
        var entries: [Entry] = []
        while entries.count < 20, let message = rd_kafka_consumer_poll(raw, entries.isEmpty ? 100 : 0) {
            defer { rd_kafka_message_destroy(message) }
            switch message.pointee.err {
            case RD_KAFKA_RESP_ERR_NO_ERROR: break
            // The library reconnects by itself.
            case RD_KAFKA_RESP_ERR__TRANSPORT, RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN, RD_KAFKA_RESP_ERR__TIMED_OUT:
                return entries
            case let code: try Self.check(code, "reading \(topic)/\(partition)")
            }
            let key = UnsafeRawBufferPointer(start: message.pointee.key, count: message.pointee.key_len)
            let value = UnsafeRawBufferPointer(start: message.pointee.payload, count: message.pointee.len)
            // A record that is not a movement is skipped; its offset passes with the next one's.
            guard let movement = Movement(key: Array(key), value: Array(value)) else { continue }
            entries.append(Entry(offset: message.pointee.offset, movement: movement))
        }
        return entries
    }

    /// The offset after the current last record.
    func end() throws -> Int64 {
        var low: Int64 = 0
        var high: Int64 = 0
        try Self.check(
            rd_kafka_query_watermark_offsets(raw, topic, partition, &low, &high, 10_000),
            "asking for the end of \(topic)")
        return high
    }
}
