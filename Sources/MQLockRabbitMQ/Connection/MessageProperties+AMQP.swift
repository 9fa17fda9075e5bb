import CMQLockRabbitMQ

extension MessageProperties {
    init(_ source: amqp_basic_properties_t) {
        let flags = source._flags
        func text(_ flag: Int32, _ bytes: amqp_bytes_t) -> String? {
            flags & amqp_flags_t(flag) != 0 ? String(bytes) : nil
        }
        contentType = text(AMQP_BASIC_CONTENT_TYPE_FLAG, source.content_type)
        if flags & amqp_flags_t(AMQP_BASIC_HEADERS_FLAG) != 0 { headers = FieldValue.decode(source.headers) }
        if flags & amqp_flags_t(AMQP_BASIC_DELIVERY_MODE_FLAG) != 0 { deliveryMode = source.delivery_mode }
        correlationID = text(AMQP_BASIC_CORRELATION_ID_FLAG, source.correlation_id)
        replyTo = text(AMQP_BASIC_REPLY_TO_FLAG, source.reply_to)
        messageID = text(AMQP_BASIC_MESSAGE_ID_FLAG, source.message_id)
        if flags & amqp_flags_t(AMQP_BASIC_TIMESTAMP_FLAG) != 0 { timestamp = source.timestamp }
        type = text(AMQP_BASIC_TYPE_FLAG, source.type)
        userID = text(AMQP_BASIC_USER_ID_FLAG, source.user_id)
        appID = text(AMQP_BASIC_APP_ID_FLAG, source.app_id)
    }

    func encoded(in arena: Arena) -> amqp_basic_properties_t {
        var target = amqp_basic_properties_t()
        func set(_ flag: Int32, _ field: WritableKeyPath<amqp_basic_properties_t, amqp_bytes_t>, _ text: String?) {
            guard let text else { return }
            target._flags |= amqp_flags_t(flag)
            target[keyPath: field] = arena.bytes(text)
        }
        set(AMQP_BASIC_CONTENT_TYPE_FLAG, \.content_type, contentType)
        set(AMQP_BASIC_CORRELATION_ID_FLAG, \.correlation_id, correlationID)
        set(AMQP_BASIC_REPLY_TO_FLAG, \.reply_to, replyTo)
        set(AMQP_BASIC_MESSAGE_ID_FLAG, \.message_id, messageID)
        set(AMQP_BASIC_TYPE_FLAG, \.type, type)
        set(AMQP_BASIC_USER_ID_FLAG, \.user_id, userID)
        set(AMQP_BASIC_APP_ID_FLAG, \.app_id, appID)
        if let deliveryMode {
            target._flags |= amqp_flags_t(AMQP_BASIC_DELIVERY_MODE_FLAG)
            target.delivery_mode = deliveryMode
        }
        if let timestamp {
            target._flags |= amqp_flags_t(AMQP_BASIC_TIMESTAMP_FLAG)
            target.timestamp = timestamp
        }
        if !headers.isEmpty {
            target._flags |= amqp_flags_t(AMQP_BASIC_HEADERS_FLAG)
            target.headers = FieldValue.encode(headers, in: arena)
        }
        return target
    }

    /// The texts that the protocol limits to 255 bytes, to check them before a publish.
    var shortStrings: [String] {
        [contentType, correlationID, replyTo, messageID, type, userID, appID].compactMap { $0 }
    }
}
