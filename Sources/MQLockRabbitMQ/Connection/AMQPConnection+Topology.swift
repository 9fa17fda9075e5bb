import CMQLockRabbitMQ

/// Channels, queues and exchanges. Each call writes one request; the answer comes through `readAvailable`.
extension AMQPConnection {
    func channelOpen(_ channel: UInt16) throws(ConnectionFailure) {
        try checkChannel(channel)
        try send(AMQP_CHANNEL_OPEN_METHOD, amqp_channel_open_t(out_of_band: arena.bytes("")), on: channel)
    }

    /// Removes the channel's consumers and requeues their deliveries in one step of each queue, unlike basic.cancel.
    func channelClose(_ channel: UInt16) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_channel_close_t(reply_code: 200, reply_text: arena.bytes("OK"), class_id: 0, method_id: 0)
        try send(AMQP_CHANNEL_CLOSE_METHOD, method, on: channel)
    }

    func queueDeclare(
        _ channel: UInt16, _ queue: String, passive: Bool = false, durable: Bool = false, exclusive: Bool = false,
        autoDelete: Bool = false, arguments: [String: FieldValue] = [:]
    ) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_queue_declare_t(
            ticket: 0, queue: try short(queue), passive: passive.amqp, durable: durable.amqp,
            exclusive: exclusive.amqp, auto_delete: autoDelete.amqp, nowait: 0, arguments: try table(arguments))
        try send(AMQP_QUEUE_DECLARE_METHOD, method, on: channel)
    }

    func queueDelete(
        _ channel: UInt16, _ queue: String, ifUnused: Bool = false, ifEmpty: Bool = false
    ) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_queue_delete_t(
            ticket: 0, queue: try short(queue), if_unused: ifUnused.amqp, if_empty: ifEmpty.amqp, nowait: 0)
        try send(AMQP_QUEUE_DELETE_METHOD, method, on: channel)
    }

    func queueBind(
        _ channel: UInt16, _ queue: String, exchange: String, routingKey: String,
        arguments: [String: FieldValue] = [:]
    ) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_queue_bind_t(
            ticket: 0, queue: try short(queue), exchange: try short(exchange), routing_key: try short(routingKey),
            nowait: 0, arguments: try table(arguments))
        try send(AMQP_QUEUE_BIND_METHOD, method, on: channel)
    }

    func queueUnbind(
        _ channel: UInt16, _ queue: String, exchange: String, routingKey: String,
        arguments: [String: FieldValue] = [:]
    ) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_queue_unbind_t(
            ticket: 0, queue: try short(queue), exchange: try short(exchange), routing_key: try short(routingKey),
            arguments: try table(arguments))
        try send(AMQP_QUEUE_UNBIND_METHOD, method, on: channel)
    }

    func queuePurge(_ channel: UInt16, _ queue: String) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_queue_purge_t(ticket: 0, queue: try short(queue), nowait: 0)
        try send(AMQP_QUEUE_PURGE_METHOD, method, on: channel)
    }

    func exchangeDeclare(
        _ channel: UInt16, _ exchange: String, type: String, passive: Bool = false, durable: Bool = false,
        autoDelete: Bool = false, arguments: [String: FieldValue] = [:]
    ) throws(ConnectionFailure) {
        try checkChannel(channel)
        let method = amqp_exchange_declare_t(
            ticket: 0, exchange: try short(exchange), type: try short(type), passive: passive.amqp,
            durable: durable.amqp, auto_delete: autoDelete.amqp, internal: 0, nowait: 0,
            arguments: try table(arguments))
        try send(AMQP_EXCHANGE_DECLARE_METHOD, method, on: channel)
    }
}
