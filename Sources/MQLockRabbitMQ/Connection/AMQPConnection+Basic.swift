import CMQLockRabbitMQ

/// Messages. Each call writes one request; answers, if any, come through `readAvailable`.
extension AMQPConnection {
    /// Per consumer, or for the channel as a whole (`global`), which RabbitMQ 4.3 takes for the former. It is always
    /// answered, so it also serves as a probe.
    func basicQos(_ channel: UInt16, prefetch: UInt16, isGlobal: Bool = false) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_basic_qos_t(prefetch_size: 0, prefetch_count: prefetch, global: isGlobal.amqp)
        try send(AMQP_BASIC_QOS_METHOD, method, on: channel)
    }

    /// An empty tag lets the broker choose one; with `nowait` there is no consume-ok.
    func basicConsume(
        _ channel: UInt16, _ queue: String, tag: String = "", noAck: Bool = false, exclusive: Bool = false,
        nowait: Bool = false, arguments: [String: FieldValue] = [:]
    ) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_basic_consume_t(
            ticket: 0, queue: try short(queue), consumer_tag: try short(tag), no_local: 0, no_ack: noAck.amqp,
            exclusive: exclusive.amqp, nowait: nowait.amqp, arguments: try table(arguments))
        try send(AMQP_BASIC_CONSUME_METHOD, method, on: channel)
    }

    func basicCancel(_ channel: UInt16, tag: String, nowait: Bool = false) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_basic_cancel_t(consumer_tag: try short(tag), nowait: nowait.amqp)
        try send(AMQP_BASIC_CANCEL_METHOD, method, on: channel)
    }

    func basicGet(_ channel: UInt16, _ queue: String, noAck: Bool = false) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_basic_get_t(ticket: 0, queue: try short(queue), no_ack: noAck.amqp)
        try send(AMQP_BASIC_GET_METHOD, method, on: channel)
    }

    func basicAck(_ channel: UInt16, deliveryTag: UInt64, multiple: Bool = false) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_basic_ack_t(delivery_tag: deliveryTag, multiple: multiple.amqp)
        try send(AMQP_BASIC_ACK_METHOD, method, on: channel)
    }

    func basicNack(
        _ channel: UInt16, deliveryTag: UInt64, requeue: Bool, multiple: Bool = false
    ) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_basic_nack_t(delivery_tag: deliveryTag, multiple: multiple.amqp, requeue: requeue.amqp)
        try send(AMQP_BASIC_NACK_METHOD, method, on: channel)
    }

    func basicReject(_ channel: UInt16, deliveryTag: UInt64, requeue: Bool) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_basic_reject_t(delivery_tag: deliveryTag, requeue: requeue.amqp)
        try send(AMQP_BASIC_REJECT_METHOD, method, on: channel)
    }

    /// From its answer on, the channel's publishes are confirmed, numbered from 1.
    func confirmSelect(_ channel: UInt16) throws(ConnectionFailure) {
        try checkChannel(channel)
        try send(AMQP_CONFIRM_SELECT_METHOD, amqp_confirm_select_t(nowait: 0), on: channel)
    }

    /// Do not publish while the connection is `blocked`: the broker does not read, and once the socket's buffer is
    /// full, the write fails the connection after `writeTimeout`.
    func basicPublish(
        _ channel: UInt16, exchange: String, routingKey: String, mandatory: Bool = false,
        properties: MessageProperties = MessageProperties(), body: [UInt8]
    ) throws(ConnectionFailure) {
        try checkChannel(channel)
        for text in properties.shortStrings { _ = try short(text) }
        for key in properties.headers.keys { _ = try short(key) }
        let exchange = try short(exchange)
        let routingKey = try short(routingKey)
        let state = try live()
        // A message may be long.
        framesThatFit = 0
        try makeRoom()
        framesThatFit = 0
        var encoded = properties.encoded(in: arena)
        let status = body.withUnsafeBytes { body in
            let bytes = amqp_bytes_t(len: body.count, bytes: UnsafeMutableRawPointer(mutating: body.baseAddress))
            return amqp_basic_publish(state, channel, exchange, routingKey, mandatory.amqp, 0, &encoded, bytes)
        }
        arena.reset()
        // In any case a part may have been written, and nothing else can follow that.
        guard status >= 0 else { throw fail(ConnectionFailure(library: status)) }
    }
}
