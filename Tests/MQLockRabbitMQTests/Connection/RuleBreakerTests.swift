import Testing

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// What a broker would never send must end in a failure, not in a trap or a hang.
@Suite("Broken brokers", .serialized)
struct RuleBreakerTests {
    /// Reads what the server says after the login, until it fails or nothing more comes.
    private func hear(_ bytes: [UInt8]) throws -> (heard: [Inbound], failure: ConnectionFailure?) {
        let server = try FakeServer(saying: Frames.login() + bytes)
        let connection = try AMQPConnection.open(AMQPURI.parse("amqp://127.0.0.1:\(server.port)"))
        var heard: [Inbound] = []
        do throws(ConnectionFailure) {
            for _ in 0..<3 {
                try connection.readAvailable { heard.append($0) }
                var descriptor = pollfd(fd: connection.socketDescriptor, events: Int16(POLLIN), revents: 0)
                poll(&descriptor, 1, 20)
            }
        } catch {
            #expect(throws: error) { try connection.basicQos(1, prefetch: 1) }
            #expect(throws: error) { try connection.readAvailable { _ in } }
            return (heard, error)
        }
        connection.abort()
        return (heard, nil)
    }

    @Test func aGoodOneIsUnderstood() throws {
        let (heard, failure) = try hear(
            Frames.delivery(3, tag: 1) + Frames.delivery(4, tag: 9) + Frames.header(3, bodySize: 3)
                + Frames.frame(8, 0, []) + Frames.body(3, [1]) + Frames.header(4, bodySize: 0) + Frames.body(3, [2, 3]))
        #expect(failure == nil)
        var expected = Delivery(consumerTag: "c", deliveryTag: 9, redelivered: false, exchange: "", routingKey: "q")
        #expect(heard.first == .delivery(channel: 4, expected))
        (expected.deliveryTag, expected.body) = (1, [1, 2, 3])
        #expect(heard.last == .delivery(channel: 3, expected))
    }

    @Test func uselessMethodsAreHandedOn() throws {
        let (heard, failure) = try hear(
            Frames.method(7, 90, 11) + Frames.method(0, 10, 61)
                + Frames.method(7, 20, 40, Frames.bytes(UInt16(404)) + Frames.short("gone") + [0, 50, 0, 10]))
        #expect(failure == nil)
        #expect(
            heard == [
                .other(channel: 7, method: 0x005A_000B), .unblocked,
                .channelClosed(channel: 7, code: 404, text: "gone", classID: 50, methodID: 10),
            ])
    }

    /// librabbitmq 0.11 hands on frames of channels above the negotiated number; 0.18 ends the connection because of them.
    /// Nothing is made up, and nothing gets lost without a reason.
    @Test(arguments: [
        (Frames.method(4711, 60, 11), Inbound.qosOK(channel: 4711)),
        (Frames.method(65535, 90, 11), .other(channel: 65535, method: 0x005A_000B)),
    ])
    func unknownChannelsAreHandedOnOrEndTheConnection(_ bytes: [UInt8], _ frame: Inbound) throws {
        let (heard, failure) = try hear(bytes + Frames.method(0, 10, 61))
        guard let failure else {
            #expect(heard == [frame, .unblocked])
            return
        }
        #expect(heard.isEmpty)
        guard case .transport(_, let text) = failure.kind else { throw failure }
        #expect(!text.isEmpty)
    }

    @Test func connectionCloseIsReportedThenThrown() throws {
        let (heard, failure) = try hear(
            Frames.method(0, 10, 50, Frames.bytes(UInt16(320)) + Frames.short("bye") + [0, 0, 0, 0])
                + Frames.method(1, 60, 11))
        #expect(heard == [.connectionClosed(code: 320, text: "bye")])
        #expect(failure?.kind == .brokerClosed(code: 320, text: "bye"))
        #expect(failure?.isPermanent == false)
    }

    static let violations: [[UInt8]] = [
        Frames.body(1, [1]),
        Frames.header(1, bodySize: 1),
        Frames.delivery(1, tag: 1) + Frames.delivery(1, tag: 2),
        Frames.delivery(1, tag: 1) + Frames.body(1, [1]),
        Frames.delivery(1, tag: 1) + Frames.method(1, 60, 11),
        Frames.delivery(1, tag: 1) + Frames.header(1, bodySize: 2) + Frames.body(1, [1, 2, 3]),
        Frames.delivery(1, tag: 1) + Frames.header(1, bodySize: .max),
        Frames.delivery(1, tag: 1) + Frames.header(1, bodySize: 1, classID: 90),
        Frames.header(1, bodySize: 1, classID: 99),
        Frames.method(1, 99, 99),
        Frames.method(1, 60, 60, [200, 1, 2]),
        Frames.method(0, 10, 50, [1]),
        Array(Frames.method(1, 60, 11).dropLast()) + [0],
        [1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0],
        [1, 0, 1, 0, 0x10, 0, 0, 0, 0],
    ]

    @Test(arguments: violations)
    func violation(_ bytes: [UInt8]) throws {
        let (heard, failure) = try hear(bytes)
        #expect(heard.isEmpty)
        guard case .transport = failure?.kind else {
            Issue.record("\(String(describing: failure))")
            return
        }
    }

    /// Mutated frames, the same ones in every run: any outcome but a trap.
    @Test func noise() throws {
        let good =
            Frames.delivery(1, tag: 1) + Frames.header(1, bodySize: 4) + Frames.body(1, [1, 2, 3, 4])
            + Frames.method(1, 60, 11) + Frames.method(1, 50, 11, Frames.short("q") + [0, 0, 0, 1, 0, 0, 0, 2])
            + Frames.method(1, 60, 80, Frames.bytes(UInt64(5)) + [1])
        var generator = Weyl()
        for _ in 0..<60 {
            var bad = good
            for _ in 0..<Int.random(in: 1...4, using: &generator) {
                bad[Int.random(in: 0..<bad.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            _ = try hear(bad)
        }
    }

    @Test func aPeerThatStopsReadingDoesNotBlockForEver() throws {
        let server = try FakeServer(saying: Frames.login(heartbeat: 1), reads: false)
        let connection = try AMQPConnection.open(AMQPURI.parse("amqp://127.0.0.1:\(server.port)?heartbeat=1"))
        #expect(connection.heartbeat == .seconds(1))
        let body = [UInt8](repeating: 0, count: 4096)
        var last = ContinuousClock.now
        let failure = #expect(throws: ConnectionFailure.self) {
            while true {
                last = .now
                try connection.basicPublish(1, exchange: "", routingKey: "q", body: body)
            }
        }
        guard case .timedOut = failure?.kind else { throw failure ?? ConnectionFailure(.heartbeatTimeout) }
        let waited = ContinuousClock.now - last
        #expect(waited >= .milliseconds(240) && waited < .seconds(2))
    }

    @Test func silenceIsNoticed() throws {
        let server = try FakeServer(saying: Frames.login(heartbeat: 1))
        let connection = try AMQPConnection.open(AMQPURI.parse("amqp://127.0.0.1:\(server.port)?heartbeat=1"))
        let start = ContinuousClock.now
        let failure = #expect(throws: ConnectionFailure.self) {
            while true {
                try connection.readAvailable { _ in }
                usleep(50_000)
            }
        }
        #expect(failure?.kind == .heartbeatTimeout)
        let elapsed = ContinuousClock.now - start
        #expect(elapsed > .milliseconds(1500) && elapsed < .seconds(4))
    }
}

private struct Weyl: RandomNumberGenerator {
    var state: UInt64 = 1

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        let mixed = (state ^ state >> 32) &* 0xD6E8_FEB8_6659_FD93
        return mixed ^ mixed >> 32
    }
}
