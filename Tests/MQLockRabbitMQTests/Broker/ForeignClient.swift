import MQLock

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#else
import Darwin
#endif

/// What any AMQP library offers, blocking: a connection with channels, and nothing of a lock.
final class ForeignClient {
    struct Refused: Error, CustomStringConvertible {
        let code: UInt16
        let text: String
        var description: String { "\(code) \(text)" }
    }

    private let connection: AMQPConnection
    private var lastChannel: UInt16 = 0
    private var lastPublish: UInt64 = 0
    private var inbox: [Inbound] = []
    private var prefetch: [UInt16: UInt16] = [:]

    private init(_ connection: AMQPConnection) { self.connection = connection }

    /// Runs `body` with a fresh connection, on one thread from beginning to end.
    static func run<Result>(_ uri: String, _ body: (ForeignClient) throws -> Result) throws -> Result {
        let connection = try AMQPConnection.open(AMQPURI.parse(uri))
        defer { connection.close() }
        return try body(ForeignClient(connection))
    }

    var brokerVersion: String? { connection.server.version }

    // MARK: Channels

    func openChannel(prefetch: UInt16? = nil) throws -> UInt16 {
        lastChannel += 1
        try connection.channelOpen(lastChannel)
        self.prefetch[lastChannel] = prefetch
        if let prefetch { try connection.basicQos(lastChannel, prefetch: prefetch) }
        return lastChannel
    }

    func closeChannel(_ channel: UInt16) throws {
        try connection.channelClose(channel)
        try answer(channel) { if case .channelCloseOK = $0 { () } else { nil } }
    }

    // MARK: What there is

    func declareExchange(_ channel: UInt16, _ exchange: ProtocolVectors.Exchange) throws {
        try connection.exchangeDeclare(
            channel, exchange.name, type: exchange.type, durable: exchange.durable, autoDelete: exchange.autoDelete)
        try answer(channel) { if case .exchangeDeclareOK = $0 { () } else { nil } }
    }

    /// Whether the queue shows neither message nor consumer.
    @discardableResult
    func declare(
        _ channel: UInt16, _ queue: String, durable: Bool, exclusive: Bool, arguments: [String: FieldValue]
    ) throws -> Bool {
        try connection.queueDeclare(channel, queue, durable: durable, exclusive: exclusive, arguments: arguments)
        return try answer(channel) { inbound in
            guard case .queueDeclareOK(_, _, let messages, let consumers) = inbound else { return nil }
            return messages + consumers == 0
        }
    }

    func exists(_ queue: String) throws -> Bool {
        let channel = try openChannel()
        try connection.queueDeclare(channel, queue, passive: true)
        do {
            try answer(channel) { if case .queueDeclareOK = $0 { () } else { nil } }
            return true
        } catch let refused as Refused where refused.code == 404 {
            return false
        }
    }

    func bind(_ channel: UInt16, _ queue: String, to exchange: String, key: String) throws {
        try connection.queueBind(channel, queue, exchange: exchange, routingKey: key)
        try answer(channel) { if case .queueBindOK = $0 { () } else { nil } }
    }

    func delete(_ channel: UInt16, _ queue: String) throws {
        try connection.queueDelete(channel, queue)
        try answer(channel) { if case .queueDeleteOK = $0 { () } else { nil } }
    }

    // MARK: Messages

    func confirm(_ channel: UInt16) throws { try connection.confirmSelect(channel) }

    /// Publishes, mandatory, and awaits the confirm.
    func publish(
        _ channel: UInt16, _ body: String, to exchange: String, key: String, _ properties: MessageProperties
    ) throws {
        lastPublish += 1
        try connection.basicPublish(
            channel, exchange: exchange, routingKey: key, mandatory: true, properties: properties,
            body: Array(body.utf8))
        var isReturned = false
        try answer(channel) { inbound in
            switch inbound {
            case .returned: isReturned = true
            case .ack(_, let tag, let multiple) where multiple ? tag >= lastPublish : tag == lastPublish: return ()
            default: break
            }
            return nil
        }
        if isReturned { throw Refused(code: 312, text: "returned") }
    }

    func consume(_ channel: UInt16, _ queue: String, noAck: Bool = false) throws {
        // Removes the limit of an earlier consumer.
        try connection.basicQos(channel, prefetch: prefetch[channel] ?? 1)
        try connection.basicConsume(channel, queue, noAck: noAck)
        try connection.basicQos(channel, prefetch: 1000, isGlobal: true)
        try answer(channel) { if case .consumeOK = $0 { () } else { nil } }
    }

    func nextDelivery(_ channel: UInt16) throws -> Delivery {
        try answer(channel) { if case .delivery(_, let delivery) = $0 { delivery } else { nil } }
    }

    func acknowledge(_ channel: UInt16, _ delivery: Delivery) throws {
        try connection.basicAck(channel, deliveryTag: delivery.deliveryTag)
    }

    func putBack(_ channel: UInt16, _ delivery: Delivery) throws {
        try connection.basicNack(channel, deliveryTag: delivery.deliveryTag, requeue: true)
    }

    /// The first that `pick` takes; what it passes by stays for the next to ask.
    @discardableResult
    private func answer<Result>(_ channel: UInt16, _ pick: (Inbound) -> Result?) throws -> Result {
        let deadline = ContinuousClock.now.advanced(by: .seconds(20))
        var seen = 0
        while true {
            while seen < inbox.count {
                let inbound = inbox[seen]
                guard inbound.channel == channel else {
                    seen += 1
                    continue
                }
                if case .channelClosed(_, let code, let text, _, _) = inbound { throw Refused(code: code, text: text) }
                if let result = pick(inbound) {
                    inbox.remove(at: seen)
                    return result
                }
                seen += 1
            }
            guard ContinuousClock.now < deadline else { throw Refused(code: 0, text: "no answer") }
            try connection.readAvailable { inbox.append($0) }
            if seen == inbox.count, !connection.hasBufferedInput {
                var descriptor = pollfd(fd: connection.socketDescriptor, events: Int16(POLLIN), revents: 0)
                _ = poll(&descriptor, 1, 200)
            }
        }
    }
}
