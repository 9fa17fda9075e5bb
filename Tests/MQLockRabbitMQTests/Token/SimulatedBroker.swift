@testable import MQLockRabbitMQ

/// What RabbitMQ does for one lock name, as far as the token mutex can see it: a token queue, the register, the mending
/// mutex, and for each client a channel whose frames travel in order in each direction.
///
/// Everything is in flight until a test says otherwise, so that a seed decides every interleaving.
struct SimulatedBroker {
    typealias Event = TokenMachine.Event
    typealias Fault = ChannelFault

    struct Message: Equatable {
        let token: TokenMessage
        var count: Int64 = 0
    }

    private struct Unacknowledged {
        var message: Message
        let consumer: UInt64?
        let queue: Int
    }

    private struct Channel {
        let epoch: Int
        var hasPin = false
        var nextDelivery: UInt64 = 0
        var unacknowledged: [UInt64: Unacknowledged] = [:]
    }

    private struct Consumer {
        let client: Int
        let tag: UInt64
    }

    /// A frame from a client, on the channel of that epoch.
    struct Frame {
        let epoch: Int
        let action: TokenMachine.Action
    }

    /// What the broker sent, on the channel of that epoch; nil for answers to verifications.
    struct Reply {
        let client: Int
        let epoch: Int?
        let event: Event
    }

    private var queueNumber = 0
    private(set) var queueExists = false
    private(set) var ready: [Message] = []
    private(set) var register: Nonce?
    private var mender: Int?
    private var channels: [Int: Channel] = [:]
    private var consumers: [Consumer] = []
    /// Sent and not yet taken by the test.
    var outbox: [Reply] = []

    /// Those in the queue and those that are delivered.
    var tokens: [Nonce] {
        (ready + channels.values.flatMap(\.unacknowledged.values).map(\.message)).map(\.token.nonce)
    }

    // MARK: Frames

    mutating func receive(_ frame: Frame, from client: Int) {
        if case .openChannel = frame.action {
            channels[client] = Channel(epoch: frame.epoch)
            return
        }
        if case .verify(let number, let nonce) = frame.action { return verify(number, nonce, client) }
        if case .identify(let number) = frame.action {
            return outbox.append(
                Reply(client: client, epoch: nil, event: .identified(number, register.map { .says($0) } ?? .missing)))
        }
        // Frames that were on their way when the broker closed the channel are ignored.
        guard let channel = channels[client], channel.epoch == frame.epoch else { return }
        switch frame.action {
        case .closeChannel: drop(client)
        case .request(let request): handle(request, client)
        case .count:
            guard queueExists else { return close(client, Fault.notFound) }
            send(client, .counted(UInt32(consumers.count)))
        case .countPins:
            guard register != nil else { return close(client, Fault.notFound) }
            send(client, .pinned(UInt32(channels.values.count(where: \.hasPin))))
        case .consume(let tag):
            guard queueExists else { return close(client, Fault.notFound) }
            send(client, .consumeConfirmed(.token(tag)))
            consumers.append(Consumer(client: client, tag: tag))
            serve()
        case .placePin:
            guard register != nil else { return close(client, Fault.notFound) }
            channels[client]?.hasPin = true
            send(client, .consumeConfirmed(.pin))
        case .get:
            guard queueExists else { return close(client, Fault.notFound) }
            guard !ready.isEmpty else { return send(client, .gotNothing) }
            deliver(ready.removeFirst(), to: client, consumer: nil)
        case .cancel(let tag): consumers.removeAll { $0.client == client && $0.tag == tag }
        case .acknowledge(let tag): channels[client]?.unacknowledged[tag] = nil
        case .putBack(let tag):
            if let entry = channels[client]?.unacknowledged.removeValue(forKey: tag) { requeue(entry) }
        default: preconditionFailure("no frame: \(frame.action)")
        }
        serve()
    }

    private mutating func handle(_ request: Preparation.Request, _ client: Int) {
        switch request {
        case .findRegister: answer(client, register != nil, Fault.notFound)
        case .findQueue: answer(client, queueExists, Fault.notFound)
        case .declareQueue:
            if !queueExists {
                queueExists = true
                queueNumber += 1
            }
            send(client, .done)
        case .claimRegister(let nonce): answer(client, declareRegister(nonce), Fault.preconditionFailed)
        case .lockMend:
            if mender == nil { mender = client }
            answer(client, mender == client, Fault.resourceLocked)
        case .deleteRegister:
            deleteRegister()
            send(client, .done)
        case .unlockMend:
            if mender == client { mender = nil }
            send(client, .done)
        }
    }

    private mutating func declareRegister(_ nonce: Nonce) -> Bool {
        if register == nil { register = nonce }
        return register == nonce
    }

    private mutating func verify(_ number: UInt64, _ nonce: Nonce, _ client: Int) {
        let event: Event = declareRegister(nonce) ? .verified(number) : .refuted(number)
        outbox.append(Reply(client: client, epoch: nil, event: event))
    }

    /// A publish arrives; false when there is no queue to take it.
    mutating func publish(_ token: TokenMessage) -> Bool {
        guard queueExists else { return false }
        ready.append(Message(token: token))
        serve()
        return true
    }

    // MARK: Faults

    /// The client's connection is gone.
    mutating func disconnect(_ client: Int) {
        drop(client)
        if mender == client { mender = nil }
        outbox.removeAll { $0.client == client }
    }

    mutating func purge() { ready = [] }

    mutating func deleteQueue() {
        guard queueExists else { return }
        queueExists = false
        ready = []
        let cancelled = consumers
        consumers = []
        for consumer in cancelled { send(consumer.client, .cancelledByBroker(.token(consumer.tag))) }
    }

    mutating func deleteRegister() {
        guard register != nil else { return }
        register = nil
        for client in channels.keys.sorted() where channels[client]?.hasPin == true {
            channels[client]?.hasPin = false
            send(client, .cancelledByBroker(.pin))
        }
    }

    // MARK: Deliveries

    private mutating func serve() {
        while !ready.isEmpty {
            let free = consumers.firstIndex { consumer in
                channels[consumer.client]?.unacknowledged.values.contains { $0.consumer == consumer.tag } == false
            }
            guard let free else { return }
            // Served in turn, as the broker does.
            let consumer = consumers.remove(at: free)
            consumers.append(consumer)
            deliver(ready.removeFirst(), to: consumer.client, consumer: consumer.tag)
        }
    }

    private mutating func deliver(_ message: Message, to client: Int, consumer: UInt64?) {
        channels[client]?.nextDelivery += 1
        guard let tag = channels[client]?.nextDelivery else { return }
        channels[client]?.unacknowledged[tag] = Unacknowledged(message: message, consumer: consumer, queue: queueNumber)
        send(client, .delivered(consumer: consumer, tag, .token(message.token, count: message.count)))
    }

    private mutating func requeue(_ entry: Unacknowledged) {
        guard queueExists, entry.queue == queueNumber else { return }
        var message = entry.message
        message.count += 1
        ready.insert(message, at: 0)
        serve()
    }

    private mutating func drop(_ client: Int) {
        consumers.removeAll { $0.client == client }
        guard let channel = channels.removeValue(forKey: client) else { return }
        for tag in channel.unacknowledged.keys.sorted(by: >) {
            if let entry = channel.unacknowledged[tag] { requeue(entry) }
        }
    }

    private mutating func answer(_ client: Int, _ yes: Bool, _ fault: UInt16) {
        if yes { send(client, .done) } else { close(client, fault) }
    }

    private mutating func close(_ client: Int, _ code: UInt16) {
        guard let epoch = channels[client]?.epoch else { return }
        let text =
            code == Fault.preconditionFailed ? "inequivalent arg 'x-dead-letter-routing-key': but current is 'x'" : ""
        outbox.append(Reply(client: client, epoch: epoch, event: .channelClosed(Fault(code: code, text: text))))
        drop(client)
    }

    private mutating func send(_ client: Int, _ event: Event) {
        guard let epoch = channels[client]?.epoch else { return }
        outbox.append(Reply(client: client, epoch: epoch, event: event))
    }
}
