import MQLock

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// A broker in this process that does just enough for a lock to be granted, and says in between what a test wants it to.
///
/// Its queues are those of `FakeQueues`, and nothing lasts beyond the test.
final class FakeBroker: Sendable {
    /// A method frame that a client has sent.
    struct Request: Sendable, Hashable {
        /// Counted from 0.
        let connection: Int
        let channel: UInt16
        let classID: UInt16
        let methodID: UInt16
        /// Of a consume, a get or a binding.
        var queue = ""
    }

    /// A channel on which a delivery was taken back, and how many requests had come by then.
    struct TakenBack: Sendable {
        let connection: Int
        let channel: UInt16
        let requests: Int
    }

    /// What is sent after the answer to a request; nil hangs up.
    typealias Interjection = @Sendable (Request) -> [UInt8]?

    let port: Int
    private let listener: Int32
    private let world = Locked(World())
    private let interject: Interjection
    private let channelMax: UInt16
    private let distance: Duration?

    /// What is on its way to a client.
    private struct Answer {
        let arrival: ContinuousClock.Instant
        let connection: Int
        let bytes: [UInt8]
        /// How many round trips it ends.
        let turn: Int
    }

    private struct World {
        var underWay: [Answer] = []
        /// The most that an answer which has arrived has ended.
        var turns = 0
        var clients: [Int: Int32] = [:]
        var connections = 0
        var requests: [Request] = []
        var queues = FakeQueues()
        var takenBack: [TakenBack] = []
    }

    /// - Parameter distance: how long each answer is under way. Nil: no time at all, and no turns are counted.
    init(
        channelMax: UInt16 = 100, distance: Duration? = nil, interject: @escaping Interjection = { _ in [] }
    ) throws {
        (self.interject, self.channelMax, self.distance) = (interject, channelMax, distance)
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
        guard distance != nil else { return }
        _ = LoopThread.start(name: "fake-distance") { [weak self] in
            while let self {
                self.arrive()
                usleep(1000)
            }
        }
    }

    /// Makes `accept` fail.
    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    var uri: String { "amqp://u:p@127.0.0.1:\(port)?heartbeat=1" }
    var requests: [Request] { world.withLock { $0.requests } }
    var connections: Int { world.withLock { $0.connections } }
    var takenBack: [TakenBack] { world.withLock { $0.takenBack } }

    /// How many round trips, one after the other, the clients have needed for what they have by now, the opening of their
    /// sockets included. What they send at once, whatever connection it is on, is one.
    var turns: Int { world.withLock { $0.turns } }

    /// From here on turns are counted anew.
    func countTurns() {
        world.withLock { world in
            world.turns = 0
            world.underWay = world.underWay.map {
                Answer(arrival: $0.arrival, connection: $0.connection, bytes: $0.bytes, turn: 0)
            }
        }
    }

    /// Whatever is out is overdue now.
    func takeBack(_ overdue: FakeQueues.Overdue) {
        world.withLock { world in
            let (places, output) = world.queues.takeBack(overdue)
            world.takenBack += places.map {
                TakenBack(connection: $0.connection, channel: $0.channel, requests: world.requests.count)
            }
            for (connection, bytes) in output { send(bytes, to: connection, &world) }
        }
    }

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
            // The opening of the socket was a round trip, too.
            world.withLock { send(Frames.start, to: number, &$0, turns: 2) }
            while let frame = nextFrame(client) {
                var isOver = false
                switch frame.type {
                case 1:
                    let message = Reader(frame.payload)
                    var request = Request(
                        connection: number, channel: frame.channel, classID: message.short(), methodID: message.short())
                    if [[60, 20], [60, 70], [50, 20]].contains([request.classID, request.methodID]) {
                        let arguments = Reader(frame.payload.dropFirst(6))
                        request.queue = arguments.text()
                    }
                    if request.classID == 60, request.methodID == 40 {
                        _ = (message.short(), message.text())
                        publishing = (frame.channel, message.text(), [], [], 0)
                    }
                    // First: whatever comes of the answer comes later.
                    world.withLock { [request] world in world.requests.append(request) }
                    answer(request, message)
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
                    let place = FakeQueues.Place(connection: number, channel: message.channel)
                    let count = publishes[message.channel] ?? 0
                    change { queues in
                        queues.publish(message.properties, message.body, to: message.queue, place)
                            + [(number, Frames.method(message.channel, 60, 80, Frames.bytes(count) + [0]))]
                    }
                }
            }
        }
        change { $0.end(connection: number) }
        world.withLock { world in
            world.clients[number] = nil
            close(client)
        }
    }

    private func answer(_ request: Request, _ message: Reader) {
        let place = FakeQueues.Place(connection: request.connection, channel: request.channel)
        // What follows on a channel that was closed is dropped.
        guard request.classID == 20 || !world.withLock({ $0.queues.closing.contains(place) }) else { return }
        func say(_ methodID: UInt16, _ arguments: [UInt8] = []) {
            self.say(Frames.method(request.channel, request.classID, methodID, arguments), to: request.connection)
        }
        switch (request.classID, request.methodID) {
        case (10, 11): self.say(Frames.tune(channelMax: channelMax, heartbeat: 1), to: request.connection)
        case (10, 40): say(41, Frames.short(""))
        case (10, 50): say(51)
        case (20, 10): say(11, Frames.long(""))
        case (20, 40):
            change { $0.end(place) }
            say(41)
        // Also of a close that was a test's.
        case (20, 41): change { $0.end(place) }
        case (40, 10), (85, 10): say(11)
        case (60, 10):
            _ = (message.short(), message.short())
            let prefetch = Int(message.short())
            world.withLock { $0.queues.limit(place, to: prefetch) }
            say(11)
        case (50, 10):
            let declaration = message.declaration()
            change { $0.declare(declaration, place) }
        case (50, 20): say(21)
        case (50, 40):
            _ = message.short()
            let queue = message.text()
            change { $0.delete(queue, place) }
        case (50, 50): say(51)
        case (60, 20):
            _ = message.short()
            let (queue, tag, flags) = (message.text(), message.text(), message.byte())
            change { $0.consume(queue, tag: tag, acknowledges: flags & 2 == 0, place) }
        case (60, 30):
            let (tag, flags) = (message.text(), message.byte())
            world.withLock { $0.queues.cancel(tag, place) }
            if flags & 1 == 0 { say(31, Frames.short(tag)) }
        case (60, 70):
            _ = message.short()
            let queue = message.text()
            change { $0.get(queue, place) }
        case (60, 80), (60, 90), (60, 120):
            let (tag, flags) = (message.long(), message.byte())
            let returns = request.methodID == 90 && flags & 1 != 0 || request.methodID == 120 && flags & 2 != 0
            change { $0.settle(tag, returns: returns, place) }
        default: break
        }
    }

    /// Changes the queues and sends what comes of it, in one step: all clients see one order.
    private func change(_ body: (inout FakeQueues) -> FakeQueues.Output) {
        world.withLock { world in
            for (connection, bytes) in body(&world.queues) { send(bytes, to: connection, &world) }
        }
    }

    private func say(_ bytes: [UInt8], to connection: Int) {
        world.withLock { send(bytes, to: connection, &$0) }
    }

    /// - Parameter turns: how many round trips it ends, after all that the clients have had so far.
    private func send(_ bytes: [UInt8], to connection: Int, _ world: inout World, turns: Int = 1) {
        guard let distance else { return Self.send(bytes, to: world.clients[connection]) }
        guard !bytes.isEmpty else { return }
        world.underWay.append(
            Answer(
                arrival: .now.advanced(by: distance), connection: connection, bytes: bytes, turn: world.turns + turns))
    }

    private func arrive() {
        world.withLock { world in
            let now = ContinuousClock.now
            while let answer = world.underWay.first, answer.arrival <= now {
                world.underWay.removeFirst()
                world.turns = max(world.turns, answer.turn)
                Self.send(answer.bytes, to: world.clients[answer.connection])
            }
        }
    }

    private static func send(_ bytes: [UInt8], to client: Int32?) {
        guard let client, !bytes.isEmpty else { return }
        #if canImport(Glibc)
        _ = Glibc.send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        #else
        _ = Darwin.send(client, bytes, bytes.count, Int32(MSG_NOSIGNAL))
        #endif
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

        init(_ bytes: some Sequence<UInt8>) { rest = Array(bytes)[...] }

        func byte() -> UInt8 { rest.popFirst() ?? 0 }
        func short() -> UInt16 { UInt16(number(2)) }
        func long() -> UInt64 { number(8) }
        func text() -> String { text(Int(byte())) }

        func declaration() -> FakeQueues.Declaration {
            _ = short()
            var declaration = FakeQueues.Declaration(queue: text())
            let flags = byte()
            (declaration.isPassive, declaration.isExclusive) = (flags & 1 != 0, flags & 4 != 0)
            _ = number(4)
            while !rest.isEmpty {
                let name = text()
                switch byte() {
                case UInt8(ascii: "S"): declaration.arguments[name] = .string(text(Int(number(4))))
                case UInt8(ascii: "l"): declaration.arguments[name] = .int64(Int64(bitPattern: long()))
                case UInt8(ascii: "t"): declaration.arguments[name] = .bool(byte() != 0)
                // Nothing else is in the arguments of our queues.
                default: return declaration
                }
            }
            return declaration
        }

        private func number(_ bytes: Int) -> UInt64 {
            (0..<bytes).reduce(0) { number, _ in number << 8 | UInt64(byte()) }
        }

        private func text(_ length: Int) -> String {
            defer { rest = rest.dropFirst(length) }
            return String(decoding: rest.prefix(length), as: UTF8.self)
        }
    }
}
