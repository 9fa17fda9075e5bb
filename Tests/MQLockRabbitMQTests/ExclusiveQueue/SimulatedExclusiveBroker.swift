@testable import MQLockRabbitMQ

/// What RabbitMQ does for one name, as far as the exclusive queue mutex can see it: a queue that belongs to a connection,
/// a line and a register with single active consumers, and channels whose frames travel in order, each on its own.
///
/// Everything is in flight until a test says otherwise, so that a seed decides every interleaving. The end of a connection
/// is several steps, in any order: each of its channels goes, and its exclusive queue.
struct SimulatedExclusiveBroker {
    typealias Event = ExclusiveMachine.Event
    typealias Kind = ExclusiveMachine.Channel

    struct ChannelID: Hashable {
        let connection: Int
        let kind: Kind
        let number: Int
    }

    enum Content: Equatable {
        case turn
        case number(FenceMessage)
    }

    /// A queue that serves the first of its consumers.
    private struct Queue {
        var exists = false
        var ready: [(content: Content, redelivered: Bool)] = []
        var line: [ChannelID] = []

        var consumers: UInt32 { line.isEmpty ? 0 : 1 }
    }

    private struct Channel {
        var nextDelivery: UInt64 = 0
        /// In the order of delivery.
        var unacknowledged: [(tag: UInt64, queue: ExclusiveMachine.Seeded, content: Content)] = []
    }

    /// What a client writes.
    enum Frame: Equatable {
        case open, join, declareQueue, readRegister, watch, ask, askWhich, delete, close
        case acknowledge(UInt64)
        case renew(UInt64)
    }

    private static let prefetch = 8

    private var queues: [ExclusiveMachine.Seeded: Queue] = [.line: Queue(), .register: Queue()]
    private var channels: [ChannelID: Channel] = [:]
    /// The connection whose the queue is, and the channel on which that consumes it.
    private(set) var owner: Int?
    private var watcher: ChannelID?
    /// Sent and not yet taken by the test.
    var outbox: [(channel: ChannelID, event: Event)] = []
    /// From a deletion on, an earlier grant binds nobody.
    private(set) var deletions = 0
    private(set) var registerDeletions = 0
    /// How often a declaration of the queue was refused.
    private(set) var refusals = 0

    /// Whether the line has had a turn and the register a number, with somebody or not.
    private(set) var hasBeenSeeded = false

    private var isSeeded: Bool {
        func has(_ queue: ExclusiveMachine.Seeded) -> Bool {
            queues[queue]?.ready.isEmpty == false
                || channels.values.contains { $0.unacknowledged.contains { $0.queue == queue } }
        }
        return has(.line) && has(.register)
    }

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
        case .join:
            declared(.line, id) { .lineDeclared(messages: $0, consumers: $1) }
            consume(.line, id, .standing)
        case .declareQueue:
            guard owner == nil || owner == id.connection else {
                refusals += 1
                return close(id, ChannelFault.resourceLocked)
            }
            owner = id.connection
            send(id, .claimed)
        case .readRegister:
            declared(.register, id) { .registerDeclared(messages: $0, consumers: $1) }
            consume(.register, id, .reading)
        case .watch:
            guard owner == id.connection else {
                return close(id, owner == nil ? ChannelFault.notFound : ChannelFault.resourceLocked)
            }
            watcher = id
            send(id, .watching)
        case .ask:
            close(id, owner == nil ? ChannelFault.notFound : ChannelFault.resourceLocked)
        case .askWhich: close(id, ChannelFault.preconditionFailed)
        case .delete:
            guard owner == nil || owner == id.connection else { return close(id, ChannelFault.resourceLocked) }
            free()
            send(id, .deleted)
        case .acknowledge(let tag):
            channels[id]?.unacknowledged.removeAll { $0.tag == tag }
            serve()
        case .renew(let tag):
            requeue(id) { $0 == tag }
            serve()
        case .close: drop(id)
        }
    }

    private mutating func declared(
        _ queue: ExclusiveMachine.Seeded, _ id: ChannelID, _ event: (UInt32, UInt32) -> Event
    ) {
        queues[queue]?.exists = true
        guard let queue = queues[queue] else { return }
        send(id, event(UInt32(queue.ready.count), queue.consumers))
    }

    private mutating func consume(_ queue: ExclusiveMachine.Seeded, _ id: ChannelID, _ event: Event) {
        send(id, event)
        queues[queue]?.line.append(id)
        serve()
    }

    /// A publish arrives; false when there is no queue to take it.
    mutating func publish(_ content: Content, to queue: ExclusiveMachine.Seeded) -> Bool {
        guard queues[queue]?.exists == true else { return false }
        queues[queue]?.ready.append((content, false))
        serve()
        if isSeeded { hasBeenSeeded = true }
        return true
    }

    // MARK: Endings

    /// The channel goes, by its client's close or with its connection: consumers and deliveries in one step.
    mutating func drop(_ id: ChannelID) {
        for queue in queues.keys { queues[queue]?.line.removeAll { $0 == id } }
        requeue(id) { _ in true }
        channels[id] = nil
        serve()
    }

    /// The connection's exclusive queue goes.
    mutating func drop(connection: Int) {
        if owner == connection { free() }
    }

    mutating func close(_ id: ChannelID, _ code: UInt16) {
        guard channels[id] != nil else { return }
        send(id, .channelClosed(id.kind, ChannelFault(code: code, text: "")))
        drop(id)
    }

    func isOpen(_ id: ChannelID) -> Bool { channels[id] != nil }

    mutating func deleteQueue() {
        guard owner != nil else { return }
        deletions += 1
        free()
    }

    mutating func delete(_ queue: ExclusiveMachine.Seeded) {
        guard let deleted = queues[queue], deleted.exists else { return }
        if queue == .register { registerDeletions += 1 }
        queues[queue] = Queue()
        for id in channels.keys { channels[id]?.unacknowledged.removeAll { $0.queue == queue } }
        for id in deleted.line { send(id, .cancelledByBroker(queue == .line ? .line : .register)) }
    }

    private mutating func free() {
        owner = nil
        if let watcher { send(watcher, .cancelledByBroker(.queue)) }
        watcher = nil
    }

    // MARK: Deliveries

    private mutating func serve() {
        for (name, var queue) in queues {
            while let id = queue.line.first, !queue.ready.isEmpty, var channel = channels[id],
                channel.unacknowledged.count < Self.prefetch
            {
                let message = queue.ready.removeFirst()
                channel.nextDelivery += 1
                channel.unacknowledged.append((channel.nextDelivery, name, message.content))
                channels[id] = channel
                switch message.content {
                case .turn: send(id, .lineDelivered(channel.nextDelivery, isTurn: true))
                case .number(let number):
                    send(
                        id,
                        .registerDelivered(
                            channel.nextDelivery, redelivered: message.redelivered,
                            .number(number, isFarAhead: false)))
                }
            }
            queues[name] = queue
        }
    }

    /// To the head of their queues, in the order in which they were delivered.
    private mutating func requeue(_ id: ChannelID, _ which: (UInt64) -> Bool) {
        let returned = channels[id]?.unacknowledged.filter { which($0.tag) } ?? []
        channels[id]?.unacknowledged.removeAll { which($0.tag) }
        for message in returned.reversed() where queues[message.queue]?.exists == true {
            queues[message.queue]?.ready.insert((message.content, true), at: 0)
        }
    }

    private mutating func send(_ id: ChannelID, _ event: Event) {
        if channels[id] != nil { outbox.append((id, event)) }
    }
}
