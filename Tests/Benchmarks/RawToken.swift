import CRabbitMQ
import Foundation

/// The token mutex's frames, sent by librabbitmq's blocking calls and nothing around them: the limit of what an adapter
/// over this library and this broker can reach. It has no seeding, no proof of life, no cancellation.
struct RawToken {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let connection: amqp_connection_state_t
    private let queue: String
    private var tags = 0
    /// The consumer that the held token came to, if it came to one.
    private var consumer: String?
    private var delivery: UInt64 = 0

    init(uri: String, queue: String) throws {
        var text = Array(String(uri.prefix { $0 != "?" }).utf8CString)
        var info = amqp_connection_info()
        amqp_default_connection_info(&info)
        guard amqp_parse_url(&text, &info) == 0, let connection = amqp_new_connection(),
            let socket = amqp_tcp_socket_new(connection)
        else { throw Failure(description: "not an AMQP URI: \(uri)") }
        self.connection = connection
        self.queue = queue
        guard amqp_socket_open(socket, info.host, info.port) == 0 else {
            throw Failure(description: "nothing listens at \(uri)")
        }
        var none = amqp_empty_table
        let vhost = info.vhost.map { String(cString: $0) } ?? "/"
        try check(
            mqlock_amqp_login_plain(
                connection, vhost.isEmpty ? "/" : vhost, 0, 131_072, 10, &none, info.user, info.password), "login")
        amqp_channel_open(connection, 1)
        amqp_basic_qos(connection, 1, 0, 1, 0)
        try check(amqp_get_rpc_reply(connection), "channel")
    }

    /// Declares the queue and puts one token in.
    func seed() throws {
        var entry = amqp_table_entry_t()
        entry.key = amqp_cstring_bytes("x-queue-type")
        entry.value.kind = UInt8(AMQP_FIELD_KIND_UTF8.rawValue)
        entry.value.value.bytes = amqp_cstring_bytes("quorum")
        withUnsafeMutablePointer(to: &entry) { entry in
            _ = queue.withCString { queue in
                amqp_queue_declare(
                    connection, 1, amqp_cstring_bytes(queue), 0, 1, 0, 0,
                    amqp_table_t(num_entries: 1, entries: entry))
            }
        }
        try check(amqp_get_rpc_reply(connection), "declare")
        _ = queue.withCString { queue in
            amqp_basic_publish(
                connection, 1, amqp_empty_bytes, amqp_cstring_bytes(queue), 0, 0, nil, amqp_cstring_bytes("token"))
        }
    }

    func delete() {
        _ = queue.withCString { amqp_queue_delete(connection, 1, amqp_cstring_bytes($0), 0, 0) }
    }

    /// Asks once; false when the token is elsewhere.
    mutating func get() throws -> Bool {
        let reply = queue.withCString { amqp_basic_get(connection, 1, amqp_cstring_bytes($0), 0) }
        try check(reply, "get")
        guard reply.reply.id == AMQP_BASIC_GET_OK_METHOD, let decoded = reply.reply.decoded else { return false }
        delivery = decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee.delivery_tag
        var message = amqp_message_t()
        try check(amqp_read_message(connection, 1, &message, 0), "read")
        amqp_destroy_message(&message)
        amqp_maybe_release_buffers(connection)
        consumer = nil
        return true
    }

    /// Asks once, then stands in line.
    mutating func acquire() throws {
        if try get() { return }
        tags += 1
        let tag = "token-\(tags)"
        _ = queue.withCString { queue in
            tag.withCString { tag in
                amqp_basic_consume(
                    connection, 1, amqp_cstring_bytes(queue), amqp_cstring_bytes(tag), 0, 0, 0, amqp_empty_table)
            }
        }
        try check(amqp_get_rpc_reply(connection), "consume")
        var envelope = amqp_envelope_t()
        try check(amqp_consume_message(connection, &envelope, nil, 0), "wait")
        delivery = envelope.delivery_tag
        amqp_destroy_envelope(&envelope)
        amqp_maybe_release_buffers(connection)
        consumer = tag
    }

    mutating func release() {
        if let consumer {
            _ = consumer.withCString { tag in
                var cancel = amqp_basic_cancel_t(consumer_tag: amqp_cstring_bytes(tag), nowait: 1)
                return amqp_send_method(connection, 1, AMQP_BASIC_CANCEL_METHOD, &cancel)
            }
        }
        _ = amqp_basic_nack(connection, 1, delivery, 0, 1)
    }

    private func check(_ reply: amqp_rpc_reply_t, _ what: String) throws {
        guard reply.reply_type == AMQP_RESPONSE_NORMAL else {
            throw Failure(description: "\(what) failed (\(reply.reply_type.rawValue), \(reply.library_error))")
        }
    }
}
