import MQLock

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// A plain AMQP client for what a lock library does not do: look at queues, delete them, publish forgeries.
///
/// Blocks its thread for the few round trips of one call; a connection lives for one call of `run`.
struct RawClient {
    /// The broker closed the channel or did not answer.
    struct Refused: Error, CustomStringConvertible {
        let description: String
        var code: UInt16 = 0
    }

    /// Deliveries that came while something else was awaited.
    private final class Inbox { var deliveries: [Delivery] = [] }

    private let connection: AMQPConnection
    private let inbox = Inbox()

    /// Runs `body` with a fresh connection, on one thread from beginning to end.
    static func run<Result>(_ uri: String, _ body: (RawClient) throws -> Result) throws -> Result {
        let connection = try AMQPConnection.open(AMQPURI.parse(uri))
        defer { connection.close() }
        let client = RawClient(connection: connection)
        try connection.channelOpen(1)
        try connection.confirmSelect(1)
        return try body(client)
    }

    struct Counts: Equatable {
        let messages: Int
        let consumers: Int
    }

    /// Messages and consumers of a queue; nil when there is none. Closes the channel then, so ask last.
    func counts(_ queue: String) throws -> Counts? {
        try connection.queueDeclare(1, queue, passive: true)
        return try answer { inbound in
            switch inbound {
            case .queueDeclareOK(_, _, let messages, let consumers):
                .some(Counts(messages: Int(messages), consumers: Int(consumers)))
            case .channelClosed(_, 404, _, _, _): .some(nil)
            default: nil
            }
        }
    }

    /// The version that the broker names.
    var brokerVersion: String? { connection.server.version }
    var version: BrokerVersion { BrokerVersion(announced: brokerVersion) }

    func declare(
        _ queue: String, durable: Bool = true, exclusive: Bool = false, arguments: [String: FieldValue]
    ) throws {
        try connection.queueDeclare(1, queue, durable: durable, exclusive: exclusive, arguments: arguments)
        try answer { if case .queueDeclareOK = $0 { () } else { nil } }
    }

    func declareExclusive(_ queue: String) throws {
        try connection.queueDeclare(1, queue, exclusive: true)
        try answer { if case .queueDeclareOK = $0 { () } else { nil } }
    }

    func delete(_ queue: String) throws {
        try connection.queueDelete(1, queue)
        try answer { if case .queueDeleteOK = $0 { () } else { nil } }
    }

    func purge(_ queue: String) throws {
        try connection.queuePurge(1, queue)
        try answer { if case .queuePurgeOK = $0 { () } else { nil } }
    }

    func unbind(_ queue: String, exchange: String, key: String) throws {
        try connection.queueUnbind(1, queue, exchange: exchange, routingKey: key)
        try answer { if case .queueUnbindOK = $0 { () } else { nil } }
    }

    /// Publishes and waits for the confirm.
    func publish(_ body: [UInt8], to queue: String, properties: MessageProperties = MessageProperties()) throws {
        try publish(body, exchange: "", key: queue, properties: properties)
    }

    func publish(_ body: [UInt8], exchange: String, key: String, properties: MessageProperties) throws {
        try connection.basicPublish(
            1, exchange: exchange, routingKey: key, mandatory: true, properties: properties, body: body)
        try answer { inbound in
            switch inbound {
            case .ack: ()
            default: nil
            }
        }
    }

    /// Fetches a message and puts it back.
    func peek(_ queue: String) throws -> [UInt8]? {
        try connection.basicGet(1, queue)
        let body: [UInt8]?? = try answer { inbound in
            switch inbound {
            case .gotMessage(_, let delivery): .some(.some(delivery.body))
            case .getEmpty: .some(nil)
            default: nil
            }
        }
        return body ?? nil
    }

    /// Stands in the queue's line; acknowledges nothing.
    func consume(_ queue: String, prefetch: UInt16) throws {
        try connection.basicQos(1, prefetch: prefetch)
        try connection.basicConsume(1, queue)
        try answer { if case .consumeOK = $0 { () } else { nil } }
    }

    /// The bodies of the next so many deliveries.
    func deliveries(_ count: Int) throws -> [[UInt8]] { try received(count).map(\.body) }

    /// The next so many deliveries, also those that came before this was called.
    func received(_ count: Int) throws -> [Delivery] {
        if inbox.deliveries.count < count {
            // All but the last are kept by `answer`.
            try answer { inbound -> Void? in
                guard case .delivery(_, let delivery) = inbound, inbox.deliveries.count == count - 1 else { return nil }
                inbox.deliveries.append(delivery)
                return ()
            }
        }
        defer { inbox.deliveries.removeFirst(count) }
        return Array(inbox.deliveries.prefix(count))
    }

    /// What has been delivered and not been taken from here, once the broker has answered a question.
    func pending() throws -> [Delivery] {
        try connection.basicQos(1, prefetch: 8)
        try answer { if case .qosOK = $0 { () } else { nil } }
        return inbox.deliveries
    }

    /// Limits what is delivered on the channel as a whole.
    func limit(to prefetch: UInt16) throws {
        try connection.basicQos(1, prefetch: prefetch, isGlobal: true)
        try answer { if case .qosOK = $0 { () } else { nil } }
    }

    /// Whether the broker cancels our consumer, for whatever reason, before it has delivered anything.
    func isCancelled() throws -> Bool {
        try answer { inbound in
            switch inbound {
            case .cancelledByBroker: true
            case .delivery: false
            default: nil
            }
        }
    }

    /// Stands in the queue's line until something is delivered; acknowledges nothing.
    func firstDelivery(from queue: String, prefetch: UInt16) throws -> Delivery {
        try connection.basicQos(1, prefetch: prefetch)
        try connection.basicConsume(1, queue)
        return try answer { if case .delivery(_, let delivery) = $0 { delivery } else { nil } }
    }

    /// Publishes to a queue that we consume from, and waits for both the confirm and the message itself.
    func publishToOurselves(_ body: [UInt8], to queue: String, properties: MessageProperties) throws -> Delivery {
        try connection.basicPublish(
            1, exchange: "", routingKey: queue, mandatory: true, properties: properties, body: body)
        var (isConfirmed, own) = (false, Delivery?.none)
        return try answer { inbound in
            switch inbound {
            case .ack: isConfirmed = true
            case .delivery(_, let delivery) where delivery.body == body: own = delivery
            default: break
            }
            return isConfirmed ? own : nil
        }
    }

    func acknowledge(_ delivery: Delivery) throws {
        try connection.basicAck(1, deliveryTag: delivery.deliveryTag)
    }

    /// Puts a delivery back.
    func putBack(_ delivery: Delivery) throws {
        try connection.basicNack(1, deliveryTag: delivery.deliveryTag, requeue: true)
    }

    func closeChannel() throws {
        try connection.channelClose(1)
        try answer { if case .channelCloseOK = $0 { () } else { nil } }
    }

    /// The channel anew, after `closeChannel`.
    func openChannel() throws {
        try connection.channelOpen(1)
        try answer { if case .channelOpenOK = $0 { () } else { nil } }
    }

    /// Says goodbye and closes the connection.
    func closeConnection() { connection.close() }

    /// Declares a direct exchange, which goes with the last queue that is bound to it, and binds the queue by its name.
    func bind(_ queue: String, to exchange: String) throws {
        try connection.exchangeDeclare(1, exchange, type: "direct", durable: true, autoDelete: true)
        try answer { if case .exchangeDeclareOK = $0 { () } else { nil } }
        try connection.queueBind(1, queue, exchange: exchange, routingKey: queue)
        try answer { if case .queueBindOK = $0 { () } else { nil } }
    }

    /// Closes the socket without a word.
    func abort() { connection.abort() }

    /// Leaves the socket to whoever takes it; what this client does from then on reaches nobody.
    func leave(to take: (Int32) throws -> Void) throws {
        try take(connection.socketDescriptor)
        let nowhere = open("/dev/null", O_RDWR | O_CLOEXEC)
        // The library has a descriptor of its own, by which the end of this client would reach the broker.
        for descriptor in Self.descriptors(ofWhatIs: connection.socketDescriptor) { dup2(nowhere, descriptor) }
        close(nowhere)
    }

    /// All our descriptors of one socket.
    private static func descriptors(ofWhatIs socket: Int32) -> [Int32] {
        func identity(_ descriptor: Int32) -> [UInt64]? {
            var status = stat()
            guard fstat(descriptor, &status) == 0 else { return nil }
            return [UInt64(status.st_dev), UInt64(status.st_ino)]
        }
        let wanted = identity(socket)
        return (0..<getdtablesize()).filter { identity($0) == wanted }
    }

    @discardableResult
    private func answer<Result>(_ pick: (Inbound) -> Result?) throws -> Result {
        let deadline = ContinuousClock.now.advanced(by: .seconds(20))
        var result: Result?
        var refused: Refused?
        while result == nil, refused == nil {
            guard ContinuousClock.now < deadline else { throw Refused(description: "no answer") }
            try connection.readAvailable { inbound in
                if let picked = pick(inbound) {
                    result = result ?? picked
                } else if case .delivery(_, let delivery) = inbound {
                    inbox.deliveries.append(delivery)
                } else if case .channelClosed(_, let code, let text, _, _) = inbound {
                    refused = Refused(description: "\(code) \(text)", code: code)
                }
            }
            if result == nil, refused == nil, !connection.hasBufferedInput {
                var descriptor = pollfd(fd: connection.socketDescriptor, events: Int16(POLLIN), revents: 0)
                _ = poll(&descriptor, 1, 200)
            }
        }
        guard let result else { throw refused ?? Refused(description: "no answer") }
        return result
    }
}
