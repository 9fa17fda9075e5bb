/// What the broker sent.
enum Inbound: Sendable, Equatable {
    case channelOpenOK(channel: UInt16)
    /// The broker closed the channel; close-ok has been sent, the channel's number is free again.
    case channelClosed(channel: UInt16, code: UInt16, text: String, classID: UInt16, methodID: UInt16)
    case channelCloseOK(channel: UInt16)
    /// close-ok has been sent; nothing follows, and every further call throws.
    case connectionClosed(code: UInt16, text: String)
    /// The broker stopped reading from connections that publish (memory or disk alarm).
    case blocked(reason: String)
    case unblocked
    case queueDeclareOK(channel: UInt16, queue: String, messageCount: UInt32, consumerCount: UInt32)
    case queueDeleteOK(channel: UInt16, messageCount: UInt32)
    case queuePurgeOK(channel: UInt16, messageCount: UInt32)
    case queueBindOK(channel: UInt16)
    case queueUnbindOK(channel: UInt16)
    case exchangeDeclareOK(channel: UInt16)
    case qosOK(channel: UInt16)
    case consumeOK(channel: UInt16, tag: String)
    case cancelOK(channel: UInt16, tag: String)
    /// basic.cancel by the broker: the queue is gone, or the consumer's acknowledgement timed out (from 4.3).
    case cancelledByBroker(channel: UInt16, tag: String)
    case delivery(channel: UInt16, Delivery)
    /// The answer to basic.get.
    case gotMessage(channel: UInt16, Delivery)
    case getEmpty(channel: UInt16)
    case returned(channel: UInt16, ReturnedMessage)
    case ack(channel: UInt16, deliveryTag: UInt64, multiple: Bool)
    case nack(channel: UInt16, deliveryTag: UInt64, multiple: Bool)
    case confirmSelectOK(channel: UInt16)
    /// A method that we do not use: class in the upper half, method in the lower half.
    case other(channel: UInt16, method: UInt32)

    /// 0 for the connection.
    var channel: UInt16 {
        switch self {
        case .connectionClosed, .blocked, .unblocked: 0
        case .channelOpenOK(let channel), .channelClosed(let channel, _, _, _, _), .channelCloseOK(let channel),
            .queueDeclareOK(let channel, _, _, _), .queueDeleteOK(let channel, _), .queuePurgeOK(let channel, _),
            .queueBindOK(let channel), .queueUnbindOK(let channel), .exchangeDeclareOK(let channel),
            .qosOK(let channel), .consumeOK(let channel, _), .cancelOK(let channel, _),
            .cancelledByBroker(let channel, _), .delivery(let channel, _), .gotMessage(let channel, _),
            .getEmpty(let channel), .returned(let channel, _), .ack(let channel, _, _), .nack(let channel, _, _),
            .confirmSelectOK(let channel), .other(let channel, _):
            channel
        }
    }
}

/// A message, as delivered to a consumer or fetched by basic.get.
struct Delivery: Sendable, Equatable {
    /// nil after basic.get.
    var consumerTag: String?
    var deliveryTag: UInt64
    var redelivered: Bool
    var exchange: String
    var routingKey: String
    var properties = MessageProperties()
    var body: [UInt8] = []
    /// How many more are ready; after basic.get only.
    var messageCount: UInt32?
    /// The body was larger than `ContentAssembler.bodyLimit` and has been dropped: `body` is empty.
    var isOversize = false
}

/// A mandatory message that no queue took.
struct ReturnedMessage: Sendable, Equatable {
    var code: UInt16
    var text: String
    var exchange: String
    var routingKey: String
    var properties = MessageProperties()
    var body: [UInt8] = []
    var isOversize = false
}
