import Testing

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// The broker that the tests run against, if there is one.
enum TestBroker {
    static let reason: Comment = "needs a broker: brokers/with --rabbitmq -- swift test"
    static let uri = getenv("MQLOCK_RABBITMQ").map { String(cString: $0) }

    static func endpoint() throws -> Endpoint { try AMQPURI.parse(try #require(uri)) }
}

/// Why there is no connection to be had there.
func openFailure(_ endpoint: Endpoint, timeout: Duration = .seconds(5)) -> ConnectionFailure? {
    do {
        let connection = try AMQPConnection.open(endpoint, timeout: timeout)
        connection.close()
        return nil
    } catch {
        return error
    }
}

/// A parent for everything that talks to the broker: one suite at a time.
@Suite("RabbitMQ connection", .serialized, .enabled(if: TestBroker.uri != nil, TestBroker.reason))
enum BrokerConnectionTests {}

/// A connection driven by hand on the test's own thread.
final class Wire {
    let connection: AMQPConnection
    /// What has been read and not been looked at.
    private var inbox: [Inbound] = []

    init(_ endpoint: Endpoint? = nil, channels: UInt16 = 1) throws {
        connection = try AMQPConnection.open(
            try endpoint ?? TestBroker.endpoint(),
            clientProperties: ["product": "MQLock", "connection_name": "mqlock tests"])
        for channel in 1...channels {
            try connection.channelOpen(channel)
            try expect(.channelOpenOK(channel: channel))
        }
    }

    static func uniqueName(_ test: String = #function) -> String {
        "mqlock.test.\(test.prefix { $0 != "(" }).\(getpid()).\(UInt64.random(in: 0..<(.max)))"
    }

    /// The next thing that the broker sends; nil if there is none in time.
    func next(within timeout: Duration = .seconds(5)) throws -> Inbound? {
        let deadline = ContinuousClock.now + timeout
        connection.flush()
        while inbox.isEmpty {
            try connection.readAvailable { inbox.append($0) }
            guard inbox.isEmpty else { break }
            guard ContinuousClock.now < deadline else { return nil }
            var descriptor = pollfd(fd: connection.socketDescriptor, events: Int16(POLLIN), revents: 0)
            poll(&descriptor, 1, 20)
        }
        return inbox.removeFirst()
    }

    func expect(_ inbound: Inbound, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let next = try next()
        try #require(next == inbound, sourceLocation: sourceLocation)
    }

    func expectDelivery(sourceLocation: SourceLocation = #_sourceLocation) throws -> Delivery {
        let next = try next()
        switch next {
        case .delivery(_, let delivery), .gotMessage(_, let delivery): return delivery
        default:
            Issue.record("a delivery expected, got \(String(describing: next))", sourceLocation: sourceLocation)
            throw ConnectionFailure(.timedOut("no delivery"))
        }
    }

    func declare(_ queue: String, on channel: UInt16 = 1, arguments: [String: FieldValue] = [:]) throws {
        try connection.queueDeclare(channel, queue, durable: true, arguments: arguments)
        try expect(.queueDeclareOK(channel: channel, queue: queue, messageCount: 0, consumerCount: 0))
    }

    func delete(_ queue: String, on channel: UInt16 = 1) throws {
        try connection.queueDelete(channel, queue)
        while let inbound = try next() {
            if case .queueDeleteOK = inbound { return }
        }
    }
}
