import MQLock

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A broker in this process that does just enough for a lock to be granted, and says in between what a test wants it to.
///
/// Queues keep their messages and hand them to their first consumer; nothing is refused, and nothing lasts beyond the test.
final class FakeBroker: Sendable {
    /// A method frame that a client has sent.
    struct Request: Sendable, Hashable {
        /// Counted from 0.
        let connection: Int
        let channel: UInt16
        let classID: UInt16
        let methodID: UInt16
    }

    /// What is sent after the answer to a request; nil hangs up.
    typealias Interjection = @Sendable (Request) -> [UInt8]?

    let port: Int
    private let listener: Int32
    private let world = Locked(World())
    private let interject: Interjection
    private let channelMax: UInt16

    private struct Consumer {
        let connection: Int
        let channel: UInt16
        let tag: String
    }

    private struct World {
        var clients: [Int: Int32] = [:]
        var connections = 0
        var requests: [Request] = []
        var messages: [String: [(properties: [UInt8], body: [UInt8])]] = [:]
        var consumers: [String: [Consumer]] = [:]
        var deliveries: UInt64 = 0
    }

    init(channelMax: UInt16 = 100, interject: @escaping Interjection = { _ in [] }) throws {
        (self.interject, self.channelMax) = (interject, channelMax)
        let socket = try LoopbackListener(backlog: 64)
        let listener = socket.descriptor
        (self.listener, port) = (listener, socket.port)
        _ = LoopThread.start(name: "fake-broker") { [weak self] in
            while true {
                let client = accept(listener, nil, nil)
                guard client >= 0 else {
                    close(listener)
                    return
                }
                guard let self else {
                    close(client)
                    continue
                }
                _ = LoopThread.start(name: "fake-client") { [self] in self.serve(client) }
            }
        }
    }

    /// Makes `accept` fail.
    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    var uri: String { "amqp://u:p@127.0.0.1:\(port)?heartbeat=1" }
    var requests: [Request] { world.withLock { $0.requests } }
    var connections: Int { world.withLock { $0.connections } }

    // MARK: One client

    private func serve(_ client: Int32) {
        let number = world.withLock { world in
            world.clients[world.connections] = client
            world.connections += 1
            return world.connections - 1
        }
        var publishes: [UInt16: UInt64] = [:]
        var publishing: (channel: UInt16, queue: String, properties: [UInt8], body: [UInt8], size: Int)?
        if read(client, count: 8) != nil {
            say(Frames.start, to: number)
            while let frame = nextFrame(client) {
                var isOver = false
                switch frame.type {
                case 1:
                    let message = Reader(frame.payload)
                    let request = Request(
                        connection: number, channel: frame.channel, classID: message.short(), methodID: message.short())
                    if request.classID == 60, request.methodID == 40 {
                        _ = (message.short(), message.text())
                        publishing = (frame.channel, message.text(), [], [], 0)
                    }
                    answer(request, message)
                    world.withLock { $0.requests.append(request) }
                    if let bytes = interject(request) { say(bytes, to: number) } else { isOver = true }
                    if request.classID == 10, request.methodID == 50 { isOver = true }
                case 2:
                    publishing?.size = frame.payload[4..<12].reduce(0) { $0 << 8 | Int($1) }
                    publishing?.properties = Array(frame.payload[12...])
                case 3: publishing?.body += frame.payload
                default: break
                }
                if isOver { break }
                if let message = publishing, frame.type != 1, message.body.count == message.size {
                    publishing = nil
                    publishes[message.channel, default: 0] += 1
                    world.withLock {
                        $0.messages[message.queue, default: []].append((message.properties, message.body))
                    }
                    deliver(message.queue)
                    say(
                        Frames.method(
                            message.channel, 60, 80, Frames.bytes(publishes[message.channel] ?? 0) + [0]), to: number)
                }
            }
        }
        world.withLock { world in
            world.clients[number] = nil
            for queue in world.consumers.keys { world.consumers[queue]?.removeAll { $0.connection == number } }
            // Whatever it held is gone with it; the next one seeds the queue anew.
            world.messages = [:]
            close(client)
        }
    }

    private func answer(_ request: Request, _ message: Reader) {
        func say(_ methodID: UInt16, _ arguments: [UInt8] = []) {
            self.say(Frames.method(request.channel, request.classID, methodID, arguments), to: request.connection)
        }
        switch (request.classID, request.methodID) {
        case (10, 11): self.say(Frames.tune(channelMax: channelMax, heartbeat: 1), to: request.connection)
        case (10, 40): say(41, Frames.short(""))
        case (10, 50): say(51)
        case (20, 10): say(11, Frames.long(""))
        case (20, 40):
            world.withLock { world in
                for queue in world.consumers.keys {
                    world.consumers[queue]?.removeAll {
                        $0.connection == request.connection && $0.channel == request.channel
                    }
                }
            }
            say(41)
        case (40, 10), (60, 10), (85, 10): say(11)
        case (50, 10):
            _ = message.short()
            say(11, Frames.short(message.text()) + Frames.bytes(UInt32(0)) + Frames.bytes(UInt32(0)))
        case (50, 20): say(21)
        case (50, 40): say(41, Frames.bytes(UInt32(0)))
        case (50, 50): say(51)
        case (60, 20):
            _ = message.short()
            let (queue, tag) = (message.text(), message.text())
            world.withLock {
                $0.consumers[queue, default: []].append(
                    Consumer(connection: request.connection, channel: request.channel, tag: tag))
            }
            say(21, Frames.short(tag))
            deliver(queue)
        case (60, 70):
            _ = message.short()
            let queue = message.text()
            guard let (tag, content) = take(queue, on: request.channel) else { return say(72, Frames.short("")) }
            self.say(
                Frames.method(
                    request.channel, 60, 71,
                    Frames.bytes(tag) + [0] + Frames.short("mqlock.v1") + Frames.short(queue) + Frames.bytes(UInt32(0)))
                    + content, to: request.connection)
        default: break
        }
    }

    private func take(_ queue: String, on channel: UInt16) -> (UInt64, [UInt8])? {
        world.withLock { world in
            guard let message = world.messages[queue]?.first else { return nil }
            world.messages[queue]?.removeFirst()
            world.deliveries += 1
            let header = Frames.frame(
                2, channel,
                Frames.bytes(UInt16(60)) + [0, 0] + Frames.bytes(UInt64(message.body.count))
                    + message.properties)
            return (world.deliveries, header + Frames.body(channel, message.body))
        }
    }

    private func deliver(_ queue: String) {
        while let consumer = world.withLock({ $0.consumers[queue]?.first }),
            let (tag, content) = take(queue, on: consumer.channel)
        {
            say(
                Frames.method(
                    consumer.channel, 60, 60,
                    Frames.short(consumer.tag) + Frames.bytes(tag) + [0] + Frames.short("mqlock.v1")
                        + Frames.short(queue)) + content, to: consumer.connection)
        }
    }

    private func say(_ bytes: [UInt8], to connection: Int) {
        world.withLock { world in
            guard let client = world.clients[connection], !bytes.isEmpty else { return }
            _ = send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        }
    }

    // MARK: Reading

    private func read(_ client: Int32, count: Int) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = bytes.withUnsafeMutableBytes { recv(client, $0.baseAddress! + done, count - done, 0) }
            guard got > 0 else { return nil }
            done += got
        }
        return bytes
    }

    private func nextFrame(_ client: Int32) -> (type: UInt8, channel: UInt16, payload: [UInt8])? {
        guard let head = read(client, count: 7) else { return nil }
        let size = head[3..<7].reduce(0) { $0 << 8 | Int($1) }
        guard let payload = read(client, count: size + 1) else { return nil }
        return (head[0], UInt16(head[1]) << 8 | UInt16(head[2]), payload.dropLast())
    }

    /// Takes a method's arguments apart, as far as it goes.
    private final class Reader {
        private var rest: ArraySlice<UInt8>

        init(_ bytes: [UInt8]) { rest = bytes[...] }

        func short() -> UInt16 { UInt16(byte()) << 8 | UInt16(byte()) }

        func text() -> String {
            let length = Int(byte())
            defer { rest = rest.dropFirst(length) }
            return String(decoding: rest.prefix(length), as: UTF8.self)
        }

        private func byte() -> UInt8 { rest.popFirst() ?? 0 }
    }
}
