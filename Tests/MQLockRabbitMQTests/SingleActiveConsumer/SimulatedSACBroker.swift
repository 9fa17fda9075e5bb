@testable import MQLockRabbitMQ

/// What RabbitMQ does for one name, as far as the single active consumer can see it: a queue with a line of consumers of
/// which the first is served, and for each client a channel whose frames travel in order in each direction.
///
/// Everything is in flight until a test says otherwise, so that a seed decides every interleaving.
struct SimulatedSACBroker {
    typealias Event = SACMachine.Event

    struct Message: Equatable {
        let content: SACMessage
        var redelivered = false
    }

    private struct Channel {
        let epoch: Int
        var nextDelivery: UInt64 = 0
        /// In the order of delivery.
        var unacknowledged: [(tag: UInt64, message: Message)] = []
    }

    /// What a client writes, on the channel of that epoch.
    enum Frame: Equatable {
        case open
        case join
        case acknowledge(UInt64)
        case close
        /// What the protocol never sends.
        case cancel
    }

    struct Reply {
        let client: Int
        let epoch: Int
        let event: Event
    }

    private static let prefetch = 8

    private(set) var queueExists = false
    private(set) var ready: [Message] = []
    private var channels: [Int: Channel] = [:]
    /// The clients whose consumers stand in line; the first is the active one.
    private(set) var line: [Int] = []
    /// Sent and not yet taken by the test.
    var outbox: [Reply] = []
    /// From a deletion on, an earlier grant binds nobody.
    private(set) var deletions = 0

    // MARK: Frames

    mutating func receive(_ frame: Frame, from client: Int, epoch: Int) {
        if frame == .open {
            channels[client] = Channel(epoch: epoch)
            return
        }
        // Frames that were on their way when the channel was closed are ignored.
        guard channels[client]?.epoch == epoch else { return }
        switch frame {
        case .open: break
        case .join:
            queueExists = true
            // A quorum queue counts the active consumer only (seen on 3.10.8).
            send(client, .declared(messages: UInt32(ready.count), consumers: line.isEmpty ? 0 : 1))
            send(client, .consuming)
            line.append(client)
            serve()
        case .acknowledge(let tag):
            channels[client]?.unacknowledged.removeAll { $0.tag == tag }
            serve()
        case .close: disconnect(client)
        case .cancel:
            line.removeAll { $0 == client }
            serve()
        }
    }

    /// A publish arrives; false when there is no queue to take it.
    mutating func publish(_ message: SACMessage) -> Bool {
        guard queueExists else { return false }
        ready.append(Message(content: message))
        serve()
        return true
    }

    // MARK: Faults

    /// The channel goes, by its client's close or with its connection: consumer and deliveries in one step.
    mutating func disconnect(_ client: Int) {
        line.removeAll { $0 == client }
        requeue(client)
        channels[client] = nil
        serve()
    }

    /// The active consumer's node is cut off for a moment: its deliveries are returned and it goes to the end of the
    /// line, and nobody tells the client.
    mutating func cutOff() {
        guard line.count > 1 else { return }
        let client = line.removeFirst()
        requeue(client)
        line.append(client)
        serve()
    }

    mutating func deleteQueue() {
        guard queueExists else { return }
        queueExists = false
        deletions += 1
        ready = []
        let cancelled = line
        line = []
        for client in cancelled {
            channels[client]?.unacknowledged = []
            send(client, .cancelledByBroker)
        }
    }

    mutating func closeChannel(_ client: Int, _ code: UInt16) {
        guard channels[client] != nil else { return }
        send(client, .channelClosed(ChannelFault(code: code, text: "")))
        disconnect(client)
    }

    // MARK: Deliveries

    private mutating func serve() {
        while let client = line.first, !ready.isEmpty, var channel = channels[client],
            channel.unacknowledged.count < Self.prefetch
        {
            let message = ready.removeFirst()
            channel.nextDelivery += 1
            channel.unacknowledged.append((channel.nextDelivery, message))
            channels[client] = channel
            let content = SACMachine.Content.token(message.content, isFarAhead: false)
            send(client, .delivered(channel.nextDelivery, redelivered: message.redelivered, content))
        }
    }

    /// To the head of the queue, in the order in which they were delivered.
    private mutating func requeue(_ client: Int) {
        guard let returned = channels[client]?.unacknowledged else { return }
        channels[client]?.unacknowledged = []
        guard queueExists else { return }
        ready = returned.map { Message(content: $0.message.content, redelivered: true) } + ready
    }

    private mutating func send(_ client: Int, _ event: Event) {
        guard let epoch = channels[client]?.epoch else { return }
        outbox.append(Reply(client: client, epoch: epoch, event: event))
    }
}
