import CMQLockRabbitMQ

/// The token mutex's frames, sent by librabbitmq's blocking calls: ask for the message, else stand in line; put it back. It
/// has no seeding, no proof of life, no cancellation.
final class RawToken: RawLock {
    private let connection: RawConnection
    private let queue: RawText
    /// Whether the held token came to a consumer.
    private var isConsumed = false
    private var delivery: UInt64 = 0

    private static let kind = RawQueueKind()
    private static let channel: UInt16 = 1
    private static let tag = RawText("token-1")

    init(uri: String, queue: String) throws {
        connection = try RawConnection(uri: uri)
        self.queue = RawText(queue)
        amqp_channel_open(connection.state, Self.channel)
        amqp_basic_qos(connection.state, Self.channel, 0, 1, 0)
        try connection.check(amqp_get_rpc_reply(connection.state), "channel")
    }

    func make() throws { try connection.make(queue, Self.kind) }

    /// Asks once, then stands in line, as ours does.
    func acquire() throws {
        isConsumed = try !get()
        guard isConsumed else { return }
        amqp_basic_consume(connection.state, Self.channel, queue.bytes, Self.tag.bytes, 0, 0, 0, amqp_empty_table)
        try connection.check(amqp_get_rpc_reply(connection.state), "consume")
        var envelope = amqp_envelope_t()
        try connection.check(amqp_consume_message(connection.state, &envelope, nil, 0), "wait")
        delivery = envelope.delivery_tag
        amqp_destroy_envelope(&envelope)
        amqp_maybe_release_buffers(connection.state)
    }

    func release() throws {
        try connection.together {
            if isConsumed {
                let cancel = amqp_basic_cancel_t(consumer_tag: Self.tag.bytes, nowait: 1)
                try connection.send(AMQP_BASIC_CANCEL_METHOD, cancel, on: Self.channel)
            }
            let nack = amqp_basic_nack_t(delivery_tag: delivery, multiple: 0, requeue: 1)
            try connection.send(AMQP_BASIC_NACK_METHOD, nack, on: Self.channel)
        }
    }

    /// False when the token is elsewhere.
    private func get() throws -> Bool {
        let reply = amqp_basic_get(connection.state, Self.channel, queue.bytes, 0)
        try connection.check(reply, "get")
        guard reply.reply.id == AMQP_BASIC_GET_OK_METHOD, let decoded = reply.reply.decoded else { return false }
        delivery = decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee.delivery_tag
        var message = amqp_message_t()
        try connection.check(amqp_read_message(connection.state, Self.channel, &message, 0), "read")
        amqp_destroy_message(&message)
        amqp_maybe_release_buffers(connection.state)
        return true
    }
}
