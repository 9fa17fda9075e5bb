@testable import MQLockRabbitMQ

/// What RabbitMQ does for the queue of one line: it serves the first of its consumers, counts how often it takes each message
/// back, and delivers what it took back before what was never delivered, in the order in which it was returned.
///
/// Everything is in flight until a test says otherwise, so that a seed decides every interleaving.
struct SimulatedLineBroker {
    struct Message: Equatable {
        enum Kind { case token, companion, want, foreign }

        let kind: Kind
        let number: UInt64
        let nonce: Nonce
        /// The fence of the holder that published it; 0 for a seed.
        var after: UInt64 = 0
        /// How often it was taken back.
        var count: Int64 = 0
    }

    struct ChannelID: Hashable {
        let client: Int
        let number: Int
    }

    enum Frame: Equatable {
        case open, declare, consume, close
        case acknowledge(UInt64)
        case putBack(UInt64)
        /// What the protocol never sends.
        case cancel
    }

    enum Reply: Equatable {
        case declared(messages: UInt32, consumers: UInt32)
        case bound, consuming, cancelled
        case delivered(UInt64, Message)
        case closed(UInt16)
        /// A consume came before the queue had started: the whole connection ends (541, RabbitMQ 3.10.8).
        case early
    }

    private struct Channel {
        var lastTag: UInt64 = 0
        /// In the order of delivery.
        var unacknowledged: [(tag: UInt64, message: Message)] = []
    }

    /// Whether a message that is nacked comes again before what was never delivered (4.3), or after it.
    var nacksToFront = false
    /// The prefetch of each client's channels.
    var prefetch: (Int) -> Int = { _ in 8 }
    /// Broken: what returns goes behind all that is ready.
    var returnsBehind = false

    private(set) var exists = false
    /// Whether the queue's process has started; until then the queue is only recorded.
    private(set) var isUp = false
    private(set) var isBound = false
    private var returned: [Message] = []
    private var ready: [Message] = []
    private var channels: [ChannelID: Channel] = [:]
    /// The first is the active consumer.
    private(set) var line: [ChannelID] = []
    /// Sent and not yet taken by the test.
    var outbox: [(channel: ChannelID, reply: Reply)] = []

    /// Those in the queue and those that are delivered.
    var tokens: [Message] {
        let delivered = channels.sorted { $0.key.number < $1.key.number }.flatMap(\.value.unacknowledged).map(\.message)
        return (returned + ready + delivered).filter { $0.kind == .token }
    }

    /// Whether a want waits for a consumer.
    var hasWant: Bool { (returned + ready).contains { $0.kind == .want } }

    func isOpen(_ id: ChannelID) -> Bool { channels[id] != nil }

    func unacknowledged(_ id: ChannelID) -> [Message] { channels[id]?.unacknowledged.map(\.message) ?? [] }

    // MARK: Frames

    mutating func receive(_ frame: Frame, on id: ChannelID) {
        if frame == .open {
            channels[id] = Channel()
            return
        }
        // Frames that were on their way when the channel was closed are ignored.
        guard channels[id] != nil else { return }
        switch frame {
        case .open: break
        case .declare:
            if !exists { (exists, isUp) = (true, false) }
            isBound = true
            let messages = isUp ? returned.count + ready.count : 0
            // A quorum queue counts the active consumer only (seen on 3.10.8).
            send(id, .declared(messages: UInt32(messages), consumers: line.isEmpty ? 0 : 1))
            send(id, .bound)
        case .consume:
            guard exists else { return close(id, ChannelFault.notFound) }
            guard isUp else { return send(id, .early) }
            send(id, .consuming)
            line.append(id)
            serve()
        case .acknowledge(let tag):
            channels[id]?.unacknowledged.removeAll { $0.tag == tag }
            serve()
        case .putBack(let tag):
            guard let at = channels[id]?.unacknowledged.firstIndex(where: { $0.tag == tag }),
                var message = channels[id]?.unacknowledged.remove(at: at).message
            else { return }
            message.count += 1
            if nacksToFront { returned.append(message) } else { ready.append(message) }
            serve()
        case .cancel:
            line.removeAll { $0 == id }
            serve()
        case .close: drop(id)
        }
    }

    enum Arrival { case arrived, unroutable, early }

    mutating func publish(_ message: Message) -> Arrival {
        guard exists, isBound else { return .unroutable }
        guard isUp else { return .early }
        ready.append(message)
        serve()
        return .arrived
    }

    // MARK: Endings

    /// The channel goes, by its client's close or with its connection: consumer and deliveries in one step.
    mutating func drop(_ id: ChannelID) {
        line.removeAll { $0 == id }
        takeBack(id)
        channels[id] = nil
        serve()
    }

    func open(of client: Int) -> [ChannelID] {
        channels.keys.filter { $0.client == client }.sorted { $0.number < $1.number }
    }

    mutating func close(_ id: ChannelID, _ code: UInt16) {
        guard channels[id] != nil else { return }
        send(id, .closed(code))
        drop(id)
    }

    // MARK: Faults

    mutating func start() { isUp = exists }

    mutating func unbind() { isBound = false }

    /// The active consumer's node is cut off for a moment: its deliveries return and it goes to the end of the line, and
    /// nobody tells the client.
    mutating func cutOff() {
        let id = line.removeFirst()
        takeBack(id)
        line.append(id)
        serve()
    }

    /// As RabbitMQ 4.3 does when a delivery is not acknowledged in time.
    mutating func cancelConsumer(_ id: ChannelID) {
        guard line.contains(id) else { return }
        send(id, .cancelled)
        line.removeAll { $0 == id }
        takeBack(id)
        serve()
    }

    mutating func purge() { (returned, ready) = ([], []) }

    mutating func dropFirst() {
        if !returned.isEmpty { returned.removeFirst() } else if !ready.isEmpty { ready.removeFirst() }
    }

    mutating func delete() {
        (exists, isUp, isBound) = (false, false, false)
        (returned, ready) = ([], [])
        let cancelled = line
        line = []
        for id in channels.keys { channels[id]?.unacknowledged = [] }
        for id in cancelled { send(id, .cancelled) }
    }

    // MARK: Deliveries

    /// In the same step of the queue as whatever made it possible.
    private mutating func serve() {
        while let id = line.first, !returned.isEmpty || !ready.isEmpty, var channel = channels[id],
            channel.unacknowledged.count < prefetch(id.client)
        {
            let message = returned.isEmpty ? ready.removeFirst() : returned.removeFirst()
            channel.lastTag += 1
            channel.unacknowledged.append((channel.lastTag, message))
            channels[id] = channel
            send(id, .delivered(channel.lastTag, message))
        }
    }

    private mutating func takeBack(_ id: ChannelID) {
        for (_, var message) in channels[id]?.unacknowledged ?? [] {
            message.count += 1
            if returnsBehind { ready.append(message) } else { returned.append(message) }
        }
        channels[id]?.unacknowledged = []
    }

    private mutating func send(_ id: ChannelID, _ reply: Reply) {
        if channels[id] != nil { outbox.append((id, reply)) }
    }
}
