import CMQLockRabbitMQ
import Foundation

/// A connection with one channel, using the blocking calls of librabbitmq.
///
/// It belongs to the thread that opened it. Heartbeats are sent only inside these calls, so the thread has to make one
/// of them a few times per heartbeat. A producer does that anyway; for a consumer see ``Consumer``.
final class BrokerConnection {
    private let state: amqp_connection_state_t
    private static let channel: amqp_channel_t = 1
    private static let patience = 10

    init(_ address: BrokerAddress) throws {
        guard let state = amqp_new_connection() else { throw ExampleError("out of memory") }
        self.state = state
        var limit = timeval(tv_sec: Self.patience, tv_usec: 0)
        guard let socket = amqp_tcp_socket_new(state),
            amqp_socket_open_noblock(socket, address.host, Int32(address.port), &limit) == 0
        else { throw ExampleError("nothing answers at \(address.host):\(address.port)") }
        var noProperties = amqp_empty_table
        let login = mqlock_amqp_login_plain(
            state, address.vhost, 0, 131_072, Int32(address.heartbeat), &noProperties, address.user, address.password)
        try Self.check(login, "login")
        amqp_channel_open(state, Self.channel)
        try check("channel.open")
    }

    /// Closes cleanly, so that nothing written before is lost on the way and the broker logs no lost client.
    func close() { _ = amqp_connection_close(state, AMQP_REPLY_SUCCESS) }

    deinit { amqp_destroy_connection(state) }

    /// A classic durable queue: a quorum queue of RabbitMQ 4 drops a message that was put back twenty times, unless its
    /// delivery limit is lifted.
    func declare(_ queue: String) throws {
        _ = withBytes(queue) { amqp_queue_declare(state, Self.channel, $0, 0, 1, 0, 0, amqp_empty_table) }
        try check("queue.declare \(queue)")
    }

    // MARK: Publishing

    func confirmPublishes() throws {
        amqp_confirm_select(state, Self.channel)
        try check("confirm.select")
    }

    /// Returns when the broker has the message on its disk.
    func publish(_ body: [UInt8], to queue: String) throws {
        var properties = amqp_basic_properties_t()
        properties._flags = amqp_flags_t(AMQP_BASIC_DELIVERY_MODE_FLAG)
        properties.delivery_mode = 2  // persistent
        let status = withBytes(queue) { queue in
            withBytes(body) { body in
                // Mandatory: a message to a queue that does not exist would be confirmed and dropped.
                amqp_basic_publish(state, Self.channel, amqp_empty_bytes, queue, 1, 0, &properties, body)
            }
        }
        guard status == 0 else { throw ExampleError("basic.publish: \(Self.text(status))") }
        var limit = timeval(tv_sec: Self.patience, tv_usec: 0)
        var frame = amqp_frame_t()
        let wait = amqp_simple_wait_frame_noblock(state, &frame, &limit)
        guard wait == 0 else { throw ExampleError("no confirm: \(Self.text(wait))") }
        // One message is out at a time, so an acknowledgement belongs to it.
        guard Int32(frame.frame_type) == AMQP_FRAME_METHOD, frame.payload.method.id == AMQP_BASIC_ACK_METHOD else {
            throw ExampleError("the broker did not take the message")
        }
        amqp_maybe_release_buffers(state)
    }

    // MARK: Consuming

    /// The descriptor to poll before ``nextDelivery()``, once that has returned nil.
    var descriptor: Int32 { amqp_get_sockfd(state) }

    func consume(_ queue: String, prefetch: UInt16) throws {
        amqp_basic_qos(state, Self.channel, 0, prefetch, 0)
        try check("basic.qos")
        _ = withBytes(queue) {
            amqp_basic_consume(state, Self.channel, $0, amqp_empty_bytes, 0, 0, 0, amqp_empty_table)
        }
        try check("basic.consume \(queue)")
    }

    /// The next message that has arrived; nil if there is none. Sends a heartbeat when one is due.
    func nextDelivery() throws -> Delivery? {
        amqp_maybe_release_buffers(state)
        var envelope = amqp_envelope_t()
        var noWait = timeval(tv_sec: 0, tv_usec: 0)
        let reply = amqp_consume_message(state, &envelope, &noWait, 0)
        if reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION, reply.library_error == AMQP_STATUS_TIMEOUT.rawValue {
            return nil
        }
        // Anything other than a message means that the broker closes.
        try Self.check(reply, "basic.deliver")
        defer { amqp_destroy_envelope(&envelope) }
        let body = UnsafeRawBufferPointer(start: envelope.message.body.bytes, count: envelope.message.body.len)
        return Delivery(tag: envelope.delivery_tag, isRedelivered: envelope.redelivered != 0, body: Array(body))
    }

    func settle(_ tag: UInt64, _ verdict: Consumer.Verdict) throws {
        let status =
            switch verdict {
            case .done: amqp_basic_ack(state, Self.channel, tag, 0)
            case .putBack: amqp_basic_nack(state, Self.channel, tag, 0, 1)
            case .throwAway: amqp_basic_nack(state, Self.channel, tag, 0, 0)
            }
        guard status == 0 else { throw ExampleError("settling an order: \(Self.text(status))") }
    }

    // MARK: Answers

    private func check(_ what: String) throws { try Self.check(amqp_get_rpc_reply(state), what) }

    private static func check(_ reply: amqp_rpc_reply_t, _ what: String) throws {
        switch reply.reply_type {
        case AMQP_RESPONSE_NORMAL: return
        case AMQP_RESPONSE_LIBRARY_EXCEPTION: throw ExampleError("\(what): \(text(reply.library_error))")
        default: throw ExampleError("\(what): refused by the broker; its log says why")
        }
    }

    private static func text(_ status: Int32) -> String { String(cString: amqp_error_string2(status)) }
}

private func withBytes<Result>(_ text: String, _ body: (amqp_bytes_t) -> Result) -> Result {
    withBytes(Array(text.utf8), body)
}

private func withBytes<Result>(_ bytes: [UInt8], _ body: (amqp_bytes_t) -> Result) -> Result {
    bytes.withUnsafeBytes {
        body(amqp_bytes_t(len: $0.count, bytes: UnsafeMutableRawPointer(mutating: $0.baseAddress)))
    }
}
