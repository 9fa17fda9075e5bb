import MQLockTesting

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
        var isRedelivered = false
        /// The count that a crash of the broker goes back to.
        var countOnDisk: Int64 = 0
    }

    private struct Unacknowledged {
        var message: Message
        let consumer: UInt64?
        let queue: Int
    }

    private struct Channel {
        let epoch: Int
        var isOpen = true
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

    let durability: RabbitMQLocks.Durability
    private var queueNumber = 0
    /// Acknowledged, and a crash of the broker brings them back.
    private var unflushed: [Message] = []
    private(set) var queueExists = false
    private(set) var ready: [Message] = []
    private(set) var register: Nonce?
    private var mender: Int?
    private var channels: [Int: Channel] = [:]
    private var consumers: [Consumer] = []
    /// Sent and not yet taken by the test.
    var outbox: [Reply] = []
    /// The register has been deleted this often: from then on an earlier grant binds nobody.
    private(set) var registerDeletions = 0

    init(_ durability: RabbitMQLocks.Durability) { self.durability = durability }

    // MARK: Frames

    mutating func receive(_ frame: Frame, from client: Int) {
        if case .openChannel = frame.action {
            channels[client] = Channel(epoch: frame.epoch)
            return
        }
        if case .verify(let number, let nonce) = frame.action { return verify(number, nonce, client) }
        // Frames that were on their way when the broker closed the channel are ignored.
        guard let channel = channels[client], channel.isOpen, channel.epoch == frame.epoch else { return }
        switch frame.action {
        case .closeChannel: drop(client)
        case .request(let request): handle(request, client)
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
        case .withdrawPin: channels[client]?.hasPin = false
        case .acknowledge(let tag):
            guard let entry = channels[client]?.unacknowledged.removeValue(forKey: tag) else { return }
            if entry.queue == queueNumber { unflushed.append(entry.message) }
        case .handOn(let tag):
            guard let entry = channels[client]?.unacknowledged.removeValue(forKey: tag) else { return }
            handOn(entry)
        case .putBack(let tag):
            if let entry = channels[client]?.unacknowledged.removeValue(forKey: tag) { requeue(entry) }
        default: preconditionFailure("no frame: \(frame.action)")
        }
    }

    private mutating func handle(_ request: TokenMachine.Request, _ client: Int) {
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
            // Who mints has the only valid token, and nobody's grant ends by it.
            deleteRegister(countsAsFault: mender == client)
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

    mutating func deleteQueue() {
        guard queueExists else { return }
        queueExists = false
        ready = []
        unflushed = []
        let cancelled = consumers
        consumers = []
        for consumer in cancelled { send(consumer.client, .cancelledByBroker(.token(consumer.tag))) }
    }

    /// What has been acknowledged and counted so far survives the next crash.
    mutating func flush() {
        unflushed = []
        for index in ready.indices { ready[index].countOnDisk = ready[index].count }
        for client in channels.keys {
            for (tag, entry) in channels[client]?.unacknowledged ?? [:] {
                var entry = entry
                entry.message.countOnDisk = entry.message.count
                channels[client]?.unacknowledged[tag] = entry
            }
        }
    }

    /// A classic queue after kill -9 of the broker: counts go back, acknowledged messages come again, and all are marked.
    mutating func crash(_ random: inout SeededGenerator) {
        for client in channels.keys.sorted() { disconnect(client) }
        mender = nil
        for message in unflushed where Bool.random(using: &random) {
            ready.insert(message, at: Int.random(in: 0...ready.count, using: &random))
        }
        unflushed = []
        for index in ready.indices {
            ready[index].count = ready[index].countOnDisk
            ready[index].isRedelivered = true
        }
    }

    mutating func deleteRegister(countsAsFault: Bool = true) {
        guard register != nil else { return }
        register = nil
        if countsAsFault { registerDeletions += 1 }
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
        send(
            client,
            .delivered(
                consumerTag: consumer, deliveryTag: tag, isRedelivered: message.isRedelivered,
                .token(message.token, count: message.count)))
    }

    /// The queue's own dead-letter loop.
    private mutating func handOn(_ entry: Unacknowledged) {
        guard queueExists, entry.queue == queueNumber else { return }
        var message = entry.message
        message.count += 1
        message.isRedelivered = false
        ready.append(message)
        serve()
    }

    private mutating func requeue(_ entry: Unacknowledged) {
        guard queueExists, entry.queue == queueNumber else { return }
        var message = entry.message
        message.isRedelivered = true
        if durability == .replicated { message.count += 1 }
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
        outbox.append(Reply(client: client, epoch: epoch, event: .channelClosed(Fault(code: code, text: ""))))
        drop(client)
    }

    private mutating func send(_ client: Int, _ event: Event) {
        guard let epoch = channels[client]?.epoch else { return }
        outbox.append(Reply(client: client, epoch: epoch, event: event))
    }
}
