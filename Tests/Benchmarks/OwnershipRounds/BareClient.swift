import CMQLockRdKafka

/// A client of librdkafka.
final class BareClient: @unchecked Sendable {
    static let patience: Int32 = 10_000

    let raw: OpaquePointer

    init(
        _ kind: rd_kafka_type_t, _ brokers: String, _ settings: [String: String] = [:], events: Int32 = 0
    ) throws {
        let configuration = rd_kafka_conf_new()
        var text = [CChar](repeating: 0, count: 512)
        func said() -> String { String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) }
        for (name, value) in settings.merging(["bootstrap.servers": brokers], uniquingKeysWith: { $1 }) {
            guard rd_kafka_conf_set(configuration, name, value, &text, text.count) == RD_KAFKA_CONF_OK else {
                throw Failure(said())
            }
        }
        rd_kafka_conf_set_events(configuration, events)
        guard let raw = rd_kafka_new(kind, configuration, &text, text.count) else { throw Failure(said()) }
        self.raw = raw
    }

    deinit { rd_kafka_destroy(raw) }

    /// Waits until the client knows the topic, which by itself it would look for once a second.
    func learn(_ topic: String) throws {
        let handle = rd_kafka_topic_new(raw, topic, nil)
        defer { rd_kafka_topic_destroy(handle) }
        var metadata: UnsafePointer<rd_kafka_metadata>?
        try Self.check(rd_kafka_metadata(raw, 0, handle, &metadata, Self.patience))
        if let metadata { rd_kafka_metadata_destroy(metadata) }
    }

    static func check(_ code: rd_kafka_resp_err_t) throws {
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw Failure(String(cString: rd_kafka_err2str(code))) }
    }

    /// For calls that answer with an object.
    static func check(_ error: OpaquePointer?) throws {
        guard let error else { return }
        defer { rd_kafka_error_destroy(error) }
        throw Failure(String(cString: rd_kafka_error_string(error)))
    }
}

/// A queue of a client.
final class BareQueue: @unchecked Sendable {
    let raw: OpaquePointer?

    init(_ raw: OpaquePointer?) { self.raw = raw }

    deinit { if let raw { rd_kafka_queue_destroy(raw) } }
}

/// Partitions of one topic, with an offset each.
struct BareList {
    let topic: String
    var offsets: [Int32: Int64]

    init(_ topic: String, _ partitions: some Sequence<Int32>, offset: Int64 = Int64(RD_KAFKA_OFFSET_INVALID)) {
        self.topic = topic
        offsets = Dictionary(uniqueKeysWithValues: partitions.map { ($0, offset) })
    }

    init(_ topic: String, offsets: [Int32: Int64]) { (self.topic, self.offsets) = (topic, offsets) }

    /// - Returns: the offsets that `body` has stored.
    @discardableResult
    func with(_ body: (UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) throws -> Void) throws -> [Int32: Int64] {
        guard let list = rd_kafka_topic_partition_list_new(Int32(offsets.count)) else { throw Failure("no memory") }
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for (partition, offset) in offsets {
            rd_kafka_topic_partition_list_add(list, topic, partition).pointee.offset = offset
        }
        try body(list)
        var stored: [Int32: Int64] = [:]
        for entry in UnsafeBufferPointer(start: list.pointee.elems, count: Int(list.pointee.cnt)) {
            try BareClient.check(entry.err)
            stored[entry.partition] = entry.offset
        }
        return stored
    }
}
