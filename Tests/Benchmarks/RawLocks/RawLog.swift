import CMQLockRdKafka
import Foundation

/// Records like those of the log lock, written and read by librdkafka, with the least that makes a lock of them: a line of
/// who wants it. It has no sessions, no proof of life, no snapshots, so the death of a holder is for ever.
///
/// On the first partition of the topic in the URI, which has to name its brokers in plain text; of its options those count
/// that are properties of the library.
final class RawLog: RawLock {
    private let producer: OpaquePointer
    private let consumer: OpaquePointer
    private let written: OpaquePointer
    private let read: OpaquePointer
    private let name: String
    private let id = UUID().uuidString
    private var attempt = 0
    /// Who wants it, in the order of the log.
    private var line: [Substring] = []

    private static let patience: Int32 = 10_000
    /// As long as a record of ours with such a name.
    private static let size = 130

    init(uri: String, queue: String) throws {
        let parts = uri.dropFirst("kafka://".count).split(separator: "/", maxSplits: 1)
        guard uri.hasPrefix("kafka://"), parts.count == 2 else {
            throw RawLogFailure("kafka://host:port/topic is needed")
        }
        let topic = String(parts[1].prefix { $0 != "?" })
        var properties = ["bootstrap.servers": String(parts[0])]
        for option in parts[1].dropFirst(topic.count + 1).split(separator: "&") where option.contains(".") {
            let words = option.split(separator: "=", maxSplits: 1)
            properties[String(words[0])] = words.count > 1 ? String(words[1]) : ""
        }
        let producer = try Self.client(
            RD_KAFKA_PRODUCER, properties.merging(["enable.idempotence": "true", "linger.ms": "0"]) { $1 })
        let consumer = try Self.client(
            RD_KAFKA_CONSUMER,
            properties.merging(["fetch.min.bytes": "1", "isolation.level": "read_uncommitted"]) { $1 })
        guard let written = rd_kafka_topic_new(producer, topic, nil),
            let read = rd_kafka_topic_new(consumer, topic, nil)
        else { throw RawLogFailure("no topic \(topic)") }
        (self.producer, self.consumer, self.written, self.read) = (producer, consumer, written, read)
        name = queue
        for (client, topic) in [(producer, written), (consumer, read)] {
            var metadata: UnsafePointer<rd_kafka_metadata>?
            try Self.check(rd_kafka_metadata(client, 0, topic, &metadata, Self.patience))
            if let metadata { rd_kafka_metadata_destroy(metadata) }
        }
        var (low, high): (Int64, Int64) = (0, 0)
        try Self.check(rd_kafka_query_watermark_offsets(consumer, topic, 0, &low, &high, Self.patience))
        guard rd_kafka_consume_start(read, 0, high) == 0 else { throw RawLogFailure("it cannot be read") }
    }

    func make() {}

    func acquire() throws {
        attempt += 1
        try write("want")
        while line.first != mine[...] { try readOn() }
    }

    /// Until all can see it, as ours does.
    func release() throws {
        try write("leave")
        while line.first == mine[...] { try readOn() }
    }

    private var mine: String { "\(id)-\(attempt)" }

    private func write(_ word: String) throws {
        var text = "\(name) \(word) \(mine) "
        text += String(repeating: "-", count: max(0, Self.size - text.utf8.count))
        let code = text.withCString { bytes in
            // The library only reads what it is given a mutable pointer to.
            rd_kafka_produce(
                written, 0, Int32(RD_KAFKA_MSG_F_COPY), UnsafeMutableRawPointer(mutating: bytes), text.utf8.count, nil,
                0, nil)
        }
        guard code == 0 else { throw RawLogFailure(String(cString: rd_kafka_err2str(rd_kafka_last_error()))) }
        rd_kafka_poll(producer, 0)
    }

    private func readOn() throws {
        guard let message = rd_kafka_consume(read, 0, 1000) else { return }
        defer { rd_kafka_message_destroy(message) }
        guard message.pointee.err != RD_KAFKA_RESP_ERR__PARTITION_EOF else { return }
        try Self.check(message.pointee.err)
        let bytes = UnsafeRawBufferPointer(start: message.pointee.payload, count: message.pointee.len)
        let words = String(decoding: bytes, as: UTF8.self).split(separator: " ")
        guard words.count == 4, words[0] == name else { return }
        if words[1] == "want" { line.append(words[2]) } else { line.removeAll { $0 == words[2] } }
    }

    private static func client(
        _ kind: rd_kafka_type_t, _ settings: [String: String]
    ) throws -> OpaquePointer {
        let configuration = rd_kafka_conf_new()
        var text = [CChar](repeating: 0, count: 512)
        func said() -> String { String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self) }
        for (name, value) in settings {
            guard rd_kafka_conf_set(configuration, name, value, &text, text.count) == RD_KAFKA_CONF_OK else {
                throw RawLogFailure(said())
            }
        }
        guard let client = rd_kafka_new(kind, configuration, &text, text.count) else { throw RawLogFailure(said()) }
        return client
    }

    private static func check(_ code: rd_kafka_resp_err_t) throws {
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { throw RawLogFailure(String(cString: rd_kafka_err2str(code))) }
    }
}

struct RawLogFailure: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}
