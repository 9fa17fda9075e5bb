import CMQLockRabbitMQ

/// Frames that are written without waiting, and what comes back.
extension RawConnection {
    enum Event {
        case deleted, consuming, confirmed, other
        /// The broker has closed the channel; answered already.
        case closed(code: UInt16)
        case message(Message)
    }

    struct Message {
        var number: UInt64
        /// How often the broker has taken it back, by its own count.
        var returns: UInt64
    }

    /// Opens a channel under a number that is free.
    func openChannel() throws -> UInt16 {
        let channel = freeChannels.popLast() ?? lastChannel + 1
        lastChannel = max(lastChannel, channel)
        try send(AMQP_CHANNEL_OPEN_METHOD, amqp_channel_open_t(out_of_band: amqp_empty_bytes), on: channel)
        return channel
    }

    func limit(_ channel: UInt16, to prefetch: UInt16) throws {
        let qos = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: prefetch, global: 0)
        try send(AMQP_BASIC_QOS_METHOD, qos, on: channel)
    }

    func declare(_ queue: RawText, _ kind: RawQueueKind, on channel: UInt16) throws {
        try kind.withArguments(majorVersion) { arguments in
            let declare = amqp_queue_declare_t(
                ticket: 0, queue: queue.bytes, passive: 0, durable: kind.isExclusive ? 0 : 1,
                exclusive: kind.isExclusive ? 1 : 0, auto_delete: 0, nowait: 0, arguments: arguments)
            try send(AMQP_QUEUE_DECLARE_METHOD, declare, on: channel)
        }
    }

    func delete(_ queue: RawText, on channel: UInt16) throws {
        let delete = amqp_queue_delete_t(ticket: 0, queue: queue.bytes, if_unused: 0, if_empty: 0, nowait: 0)
        try send(AMQP_QUEUE_DELETE_METHOD, delete, on: channel)
    }

    func consume(_ queue: RawText, tag: RawText, noAck: Bool = false, on channel: UInt16) throws {
        let consume = amqp_basic_consume_t(
            ticket: 0, queue: queue.bytes, consumer_tag: tag.bytes, no_local: 0, no_ack: noAck ? 1 : 0, exclusive: 0,
            nowait: 0, arguments: amqp_empty_table)
        try send(AMQP_BASIC_CONSUME_METHOD, consume, on: channel)
    }

    func close(_ channel: UInt16) throws {
        let close = amqp_channel_close_t(reply_code: 200, reply_text: amqp_empty_bytes, class_id: 0, method_id: 0)
        try send(AMQP_CHANNEL_CLOSE_METHOD, close, on: channel)
    }

    /// What comes next, whatever its channel. Bodies are short enough for one frame; a connection that the broker closes
    /// and a publish that it refuses are errors.
    func nextEvent() throws -> (channel: UInt16, event: Event) {
        while true {
            let frame = try nextFrame()
            switch Int32(frame.frame_type) {
            case AMQP_FRAME_METHOD: return (frame.channel, try event(frame.payload.method, on: frame.channel))
            case AMQP_FRAME_HEADER: returns[frame.channel] = Self.returns(frame.payload.properties.decoded)
            case AMQP_FRAME_BODY:
                let words = Self.text(frame.payload.body_fragment).split(separator: " ")
                guard let returns = returns.removeValue(forKey: frame.channel), words.count == 4,
                    let number = UInt64(words[2])
                else { throw Failure(description: "a message that is none of ours") }
                return (frame.channel, .message(Message(number: number, returns: returns)))
            default: break
            }
        }
    }

    /// The broker's count of returns, read as the product does: 4.3 has a header of its own for it; at first there is none.
    private static func returns(_ properties: UnsafeMutableRawPointer?) -> UInt64 {
        guard let properties = properties?.assumingMemoryBound(to: amqp_basic_properties_t.self).pointee,
            Int32(bitPattern: properties._flags) & AMQP_BASIC_HEADERS_FLAG != 0
        else { return 0 }
        let headers = entries(properties.headers)
        for name in ["x-acquired-count", "x-delivery-count"] {
            guard let header = headers.first(where: { text($0.key) == name }) else { continue }
            return UInt64(clamping: header.value.value.i64)
        }
        return 0
    }

    private func event(_ method: amqp_method_t, on channel: UInt16) throws -> Event {
        switch method.id {
        case AMQP_QUEUE_DELETE_OK_METHOD: return .deleted
        case AMQP_BASIC_CONSUME_OK_METHOD: return .consuming
        case AMQP_BASIC_ACK_METHOD: return .confirmed
        case AMQP_CHANNEL_CLOSE_METHOD:
            let close = method.decoded?.assumingMemoryBound(to: amqp_channel_close_t.self).pointee
            try send(AMQP_CHANNEL_CLOSE_OK_METHOD, amqp_channel_close_ok_t(dummy: 0), on: channel)
            freeChannels.append(channel)
            return .closed(code: close?.reply_code ?? 0)
        case AMQP_CHANNEL_CLOSE_OK_METHOD:
            freeChannels.append(channel)
            return .other
        case AMQP_CONNECTION_CLOSE_METHOD:
            let close = method.decoded?.assumingMemoryBound(to: amqp_connection_close_t.self).pointee
            let text = close.map { Self.text($0.reply_text) } ?? ""
            throw Failure(description: "the broker closed the connection: \(text)")
        case AMQP_BASIC_NACK_METHOD: throw Failure(description: "the broker refused a message")
        default: return .other
        }
    }
}
