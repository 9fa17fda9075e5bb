import CRabbitMQ

/// The token mutex's frames, sent by librabbitmq's blocking calls. It has no seeding, no proof of life, no cancellation.
///
/// On a classic queue a release goes through the queue's dead-letter loop, and a token that its holder's death has put back
/// is minted anew; on a second channel, where ours has a second connection.
final class RawToken: RawLock {
    private let connection: RawConnection
    private let queue: RawText
    private let register: RawText
    private let isClassic: Bool
    private let kind: RawQueueKind
    /// Whether the held token came to a consumer.
    private var isConsumed = false
    private var delivery: UInt64 = 0
    private var isRedelivered = false

    private static let channel: UInt16 = 1
    private static let mintChannel: UInt16 = 2
    private static let tag = RawText("token-1")

    /// The queue that there is beside the lock's own while a token is minted on a classic queue.
    static func register(of queue: String) -> String { "\(queue)/register" }

    init(uri: String, queue: String, isClassic: Bool = false) throws {
        connection = try RawConnection(publisherTo: uri, on: Self.mintChannel)
        self.isClassic = isClassic
        (self.queue, register) = (RawText(queue), RawText(Self.register(of: queue)))
        kind = RawQueueKind(isClassic: isClassic, deadLetters: isClassic ? self.queue : nil)
        amqp_channel_open(connection.state, Self.channel)
        amqp_basic_qos(connection.state, Self.channel, 0, 1, 0)
        try connection.check(amqp_get_rpc_reply(connection.state), "channel")
    }

    func prepare() throws {
        try connection.declareQueue(queue, kind, on: Self.channel)
        try connection.publish(number: 0, to: queue, on: Self.channel)
    }

    /// Asks once, then stands in line, as ours does.
    func acquire() throws {
        if try !get() {
            amqp_basic_consume(
                connection.state, Self.channel, queue.bytes, Self.tag.bytes, 0, 0, 0, amqp_empty_table)
            try connection.check(amqp_get_rpc_reply(connection.state), "consume")
            isConsumed = true
            try wait()
        }
        while isClassic, isRedelivered {
            try mint()
            if isConsumed { try wait() } else { return try acquire() }
        }
    }

    func release() throws {
        try connection.together {
            if isConsumed {
                let cancel = amqp_basic_cancel_t(consumer_tag: Self.tag.bytes, nowait: 1)
                try connection.send(AMQP_BASIC_CANCEL_METHOD, cancel, on: Self.channel)
            }
            if isClassic {
                let reject = amqp_basic_reject_t(delivery_tag: delivery, requeue: 0)
                try connection.send(AMQP_BASIC_REJECT_METHOD, reject, on: Self.channel)
            } else {
                let nack = amqp_basic_nack_t(delivery_tag: delivery, multiple: 0, requeue: 1)
                try connection.send(AMQP_BASIC_NACK_METHOD, nack, on: Self.channel)
            }
        }
    }

    /// Puts a token of our own in the place of the one that we have.
    private func mint() throws {
        let kind = RawQueueKind(isClassic: true, deadLetters: queue)
        try connection.declareQueue(register, kind, on: Self.mintChannel)
        amqp_queue_delete(connection.state, Self.mintChannel, register.bytes, 0, 0)
        try connection.check(amqp_get_rpc_reply(connection.state), "delete")
        try connection.publish(number: 0, to: queue, on: Self.mintChannel)
        try connection.awaitConfirm()
        try connection.declareQueue(register, kind, on: Self.mintChannel)
        try connection.acknowledge(delivery, on: Self.channel)
    }

    private func wait() throws {
        var envelope = amqp_envelope_t()
        try connection.check(amqp_consume_message(connection.state, &envelope, nil, 0), "wait")
        (delivery, isRedelivered) = (envelope.delivery_tag, envelope.redelivered != 0)
        amqp_destroy_envelope(&envelope)
        amqp_maybe_release_buffers(connection.state)
    }

    private func get() throws -> Bool {
        let reply = amqp_basic_get(connection.state, Self.channel, queue.bytes, 0)
        try connection.check(reply, "get")
        guard reply.reply.id == AMQP_BASIC_GET_OK_METHOD, let decoded = reply.reply.decoded else { return false }
        let got = decoded.assumingMemoryBound(to: amqp_basic_get_ok_t.self).pointee
        (delivery, isRedelivered) = (got.delivery_tag, got.redelivered != 0)
        var message = amqp_message_t()
        try connection.check(amqp_read_message(connection.state, Self.channel, &message, 0), "read")
        amqp_destroy_message(&message)
        amqp_maybe_release_buffers(connection.state)
        isConsumed = false
        return true
    }
}
