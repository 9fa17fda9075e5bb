import CMQLockRabbitMQ

/// A method as the library decoded it. Its texts are in the library's memory, which the next frame may reuse, so both
/// forms below are copies.
struct InboundMethod {
    let id: amqp_method_number_t
    let channel: UInt16
    let decoded: UnsafeMutableRawPointer

    private func arguments<Arguments>(_: Arguments.Type) -> Arguments {
        decoded.assumingMemoryBound(to: Arguments.self).pointee
    }

    /// For methods that are followed by content.
    var announcement: ContentAssembler.Announcement? {
        switch id {
        case AMQP_BASIC_DELIVER_METHOD:
            let method = arguments(amqp_basic_deliver_t.self)
            return .delivery(
                Delivery(
                    consumerTag: String(method.consumer_tag), deliveryTag: method.delivery_tag,
                    redelivered: method.redelivered != 0, exchange: String(method.exchange),
                    routingKey: String(method.routing_key)))
        case AMQP_BASIC_GET_OK_METHOD:
            let method = arguments(amqp_basic_get_ok_t.self)
            return .gotMessage(
                Delivery(
                    consumerTag: nil, deliveryTag: method.delivery_tag, redelivered: method.redelivered != 0,
                    exchange: String(method.exchange), routingKey: String(method.routing_key),
                    messageCount: method.message_count))
        case AMQP_BASIC_RETURN_METHOD:
            let method = arguments(amqp_basic_return_t.self)
            return .returned(
                ReturnedMessage(
                    code: method.reply_code, text: String(method.reply_text), exchange: String(method.exchange),
                    routingKey: String(method.routing_key)))
        default: return nil
        }
    }

    /// For all other methods.
    var inbound: Inbound {
        switch id {
        case AMQP_CHANNEL_OPEN_OK_METHOD: return .channelOpenOK(channel: channel)
        case AMQP_CHANNEL_CLOSE_OK_METHOD: return .channelCloseOK(channel: channel)
        case AMQP_CHANNEL_CLOSE_METHOD:
            let method = arguments(amqp_channel_close_t.self)
            return .channelClosed(
                channel: channel, code: method.reply_code, text: String(method.reply_text),
                classID: method.class_id, methodID: method.method_id)
        case AMQP_CONNECTION_CLOSE_METHOD:
            let method = arguments(amqp_connection_close_t.self)
            return .connectionClosed(code: method.reply_code, text: String(method.reply_text))
        case AMQP_CONNECTION_BLOCKED_METHOD:
            return .blocked(reason: String(arguments(amqp_connection_blocked_t.self).reason))
        case AMQP_CONNECTION_UNBLOCKED_METHOD: return .unblocked
        case AMQP_QUEUE_DECLARE_OK_METHOD:
            let method = arguments(amqp_queue_declare_ok_t.self)
            return .queueDeclareOK(
                channel: channel, queue: String(method.queue), messageCount: method.message_count,
                consumerCount: method.consumer_count)
        case AMQP_QUEUE_DELETE_OK_METHOD:
            return .queueDeleteOK(
                channel: channel, messageCount: arguments(amqp_queue_delete_ok_t.self).message_count)
        case AMQP_QUEUE_PURGE_OK_METHOD:
            return .queuePurgeOK(
                channel: channel, messageCount: arguments(amqp_queue_purge_ok_t.self).message_count)
        case AMQP_QUEUE_BIND_OK_METHOD: return .queueBindOK(channel: channel)
        case AMQP_QUEUE_UNBIND_OK_METHOD: return .queueUnbindOK(channel: channel)
        case AMQP_EXCHANGE_DECLARE_OK_METHOD: return .exchangeDeclareOK(channel: channel)
        case AMQP_BASIC_QOS_OK_METHOD: return .qosOK(channel: channel)
        case AMQP_BASIC_CONSUME_OK_METHOD:
            return .consumeOK(channel: channel, tag: String(arguments(amqp_basic_consume_ok_t.self).consumer_tag))
        case AMQP_BASIC_CANCEL_OK_METHOD:
            return .cancelOK(channel: channel, tag: String(arguments(amqp_basic_cancel_ok_t.self).consumer_tag))
        case AMQP_BASIC_CANCEL_METHOD:
            return .cancelledByBroker(channel: channel, tag: String(arguments(amqp_basic_cancel_t.self).consumer_tag))
        case AMQP_BASIC_GET_EMPTY_METHOD: return .getEmpty(channel: channel)
        case AMQP_BASIC_ACK_METHOD:
            let method = arguments(amqp_basic_ack_t.self)
            return .ack(channel: channel, deliveryTag: method.delivery_tag, multiple: method.multiple != 0)
        case AMQP_BASIC_NACK_METHOD:
            let method = arguments(amqp_basic_nack_t.self)
            return .nack(channel: channel, deliveryTag: method.delivery_tag, multiple: method.multiple != 0)
        case AMQP_CONFIRM_SELECT_OK_METHOD: return .confirmSelectOK(channel: channel)
        default: return .other(channel: channel, method: id)
        }
    }
}
