import CRabbitMQ

/// The single active consumer mutex's frames: join in one write, publish the next number over a second connection, wait
/// for the confirm and for its delivery, acknowledge the old token; close the channel. No seeds, no ties, no renewal.
final class RawSingleActiveConsumer: RawLock {
    private let connection: RawConnection
    private let publisher: RawConnection
    private let queue: RawText
    private var channel: UInt16 = 0

    private static let publishChannel: UInt16 = 1
    private static let lastChannel: UInt16 = 1000
    private static let prefetch: UInt16 = 8
    private static let tag = RawText("sac")

    init(uri: String, queue: String) throws {
        connection = try RawConnection(uri: uri)
        publisher = try RawConnection(uri: uri)
        self.queue = RawText(queue)
        amqp_channel_open(publisher.state, Self.publishChannel)
        amqp_confirm_select(publisher.state, Self.publishChannel)
        try publisher.check(amqp_get_rpc_reply(publisher.state), "channel")
    }

    func prepare() throws {
        try publisher.declareQueue(queue, on: Self.publishChannel, isSingleActive: true)
        try publish(1_000_000_000_000_000)
        try awaitConfirm()
    }

    func acquire() throws {
        // The broker has long confirmed the close of the one that is used again.
        channel = channel % Self.lastChannel + 1
        try join()
        let kept = try nextMessage()
        try publish(kept.number + 32)
        while true {
            let message = try nextMessage()
            if message.number == kept.number + 32 { break }
            try acknowledge(message.delivery)
        }
        try awaitConfirm()
        try acknowledge(kept.delivery)
    }

    func release() throws {
        let close = amqp_channel_close_t(reply_code: 200, reply_text: amqp_empty_bytes, class_id: 0, method_id: 0)
        try connection.send(AMQP_CHANNEL_CLOSE_METHOD, close, on: channel)
    }

    private func join() throws {
        try connection.together {
            let open = amqp_channel_open_t(out_of_band: amqp_empty_bytes)
            try connection.send(AMQP_CHANNEL_OPEN_METHOD, open, on: channel)
            let qos = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: Self.prefetch, global: 0)
            try connection.send(AMQP_BASIC_QOS_METHOD, qos, on: channel)
            var failure: (any Error)?
            RawArguments.withQueue(isSingleActive: true, majorVersion: connection.majorVersion) { arguments in
                let declare = amqp_queue_declare_t(
                    ticket: 0, queue: queue.bytes, passive: 0, durable: 1, exclusive: 0, auto_delete: 0, nowait: 0,
                    arguments: arguments)
                do {
                    try connection.send(AMQP_QUEUE_DECLARE_METHOD, declare, on: channel)
                } catch {
                    failure = error
                }
            }
            if let failure { throw failure }
            let consume = amqp_basic_consume_t(
                ticket: 0, queue: queue.bytes, consumer_tag: Self.tag.bytes, no_local: 0, no_ack: 0, exclusive: 0,
                nowait: 0, arguments: amqp_empty_table)
            try connection.send(AMQP_BASIC_CONSUME_METHOD, consume, on: channel)
        }
    }

    private func publish(_ number: UInt64) throws {
        // As long as ours.
        try publisher.publish(
            "mqlock.v1 raw \(number) 00112233445566778899aabbccddeeff", to: queue, on: Self.publishChannel)
    }

    private func awaitConfirm() throws {
        while true {
            let frame = try publisher.nextFrame()
            if try method(of: frame) == AMQP_BASIC_ACK_METHOD { return }
        }
    }

    private func acknowledge(_ delivery: UInt64) throws {
        let ack = amqp_basic_ack_t(delivery_tag: delivery, multiple: 0)
        try connection.send(AMQP_BASIC_ACK_METHOD, ack, on: channel)
    }

    /// The next message of our channel; its body is short enough for one frame.
    private func nextMessage() throws -> (delivery: UInt64, number: UInt64) {
        var delivery: UInt64 = 0
        while true {
            let frame = try connection.nextFrame()
            let id = try method(of: frame)
            guard frame.channel == channel else { continue }
            if id == AMQP_BASIC_DELIVER_METHOD, let decoded = frame.payload.method.decoded {
                delivery = decoded.assumingMemoryBound(to: amqp_basic_deliver_t.self).pointee.delivery_tag
            } else if Int32(frame.frame_type) == AMQP_FRAME_BODY {
                let words = RawConnection.text(frame.payload.body_fragment).split(separator: " ")
                guard words.count == 4, let number = UInt64(words[2]) else {
                    throw RawConnection.Failure(description: "a message that is none of ours")
                }
                return (delivery, number)
            }
        }
    }

    /// The method that a frame is, if it is one; the broker's refusals are errors.
    private func method(of frame: amqp_frame_t) throws -> amqp_method_number_t? {
        guard Int32(frame.frame_type) == AMQP_FRAME_METHOD else { return nil }
        let id = frame.payload.method.id
        if [AMQP_CHANNEL_CLOSE_METHOD, AMQP_CONNECTION_CLOSE_METHOD, AMQP_BASIC_NACK_METHOD].contains(id) {
            throw RawConnection.Failure(description: "the broker refused a frame of the raw program")
        }
        return id
    }
}
