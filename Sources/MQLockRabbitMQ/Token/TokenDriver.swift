import Foundation
import MQLock

/// The token mutex of one name: performs what its state machine says.
final class TokenDriver: NameDriver, ChannelHandler, @unchecked Sendable {
    private unowned let entry: NameEntry
    private var names: LockNames { entry.names }
    private var core: SessionCore { entry.core }
    private var objects: ObjectNames { entry.objects }
    private var machine: TokenMachine
    private var channel: NameChannel
    /// Whether the register has shown that it is not only recorded but there; see `placePin`.
    private var isRegisterUp = false
    /// The channel on which our consumer on the register is to be placed as soon as that is known.
    private var awaitedPin: UInt16?

    init(_ entry: NameEntry) {
        self.entry = entry
        channel = NameChannel(entry.core)
        machine = TokenMachine(entry.core.settings.durability)
        machine.cancelled = entry.core.behaviour.cancelled
        machine.mutantKeepsLateDeliveries = entry.core.settings.mutantKeepsLateDeliveries
    }

    var isQuiet: Bool { machine.isQuiet }
    var needsContact: Bool { machine.state == .closed }

    func contend(_ attempt: Attempt, waits: Bool) { feed(waits ? .acquire(attempt) : .tryAcquire(attempt)) }
    func abandon(_ attempt: Attempt) { feed(.abandon(attempt)) }
    func release() { feed(.release) }
    func close() {
        awaitedPin = nil
        channel.close()
    }

    // MARK: The machine

    func received(_ inbound: Inbound) {
        switch inbound {
        case .queueDeclareOK(_, let queue, _, let consumers):
            if queue == objects.register, consumers > 0 { isRegisterUp = true }
            feed(.done)
        case .queueDeleteOK: feed(.done)
        case .consumeOK(_, let tag): if let tag = Tag(tag) { feed(.consumeConfirmed(tag)) }
        case .cancelledByBroker(_, let tag):
            isRegisterUp = false
            if let tag = Tag(tag) { feed(.cancelledByBroker(tag)) }
        case .delivery(_, let delivery), .gotMessage(_, let delivery): deliver(delivery)
        case .getEmpty: feed(.gotNothing)
        case .channelClosed(_, let code, let text, _, _):
            channel.forget()
            (isRegisterUp, awaitedPin) = (false, nil)
            feed(.channelClosed(.init(code: code, text: text)))
        default: break
        }
    }

    typealias Tag = TokenMachine.Tag

    private func deliver(_ delivery: Delivery) {
        let content: TokenMachine.Content
        if !delivery.isOversize, let message = TokenMessage(payload: delivery.body) {
            content = .token(message, count: core.behaviour.handOvers(of: delivery.properties, in: objects.queue))
        } else {
            content = .stranger
        }
        var number: UInt64?
        if let tag = delivery.consumerTag {
            // The register is never published to; what a stranger puts there is taken off by its consumer (no-ack).
            guard case .token(let known)? = Tag(tag) else { return }
            number = known
        }
        feed(
            .delivered(
                consumerTag: number, deliveryTag: delivery.deliveryTag, isRedelivered: delivery.redelivered, content))
    }

    func feed(_ event: TokenMachine.Event) {
        for action in machine.handle(event) {
            guard core.end == nil else { return }
            perform(action)
        }
        if !machine.isContacting { names.contactEnded(entry) }
    }

    private func perform(_ action: TokenMachine.Action) {
        switch action {
        case .openChannel: openChannel()
        case .closeChannel: close()
        case .request(let request): send(request)
        case .seed: seed()
        case .verify(let number, let nonce): verify(number, nonce)
        case .consume(let tag): consume(objects.queue, tag: Tag.token(tag).text, noAck: false)
        case .placePin: placePin()
        case .get:
            channel.request { [objects = self.objects] connection, channel throws(ConnectionFailure) in
                try connection.basicGet(channel, objects.queue, noAck: false)
            }
        case .mint(let number, let token): mint(number, above: token)
        case .withdrawPin: cancel(.pin)
        case .cancel(let tag): cancel(.token(tag))
        case .acknowledge(let tag): channel.acknowledge(tag)
        case .putBack(let tag):
            channel.write { connection, channel throws(ConnectionFailure) in
                try connection.basicNack(channel, deliveryTag: tag, requeue: true, multiple: false)
            }
        case .handOn(let tag):
            channel.write { connection, channel throws(ConnectionFailure) in
                try connection.basicReject(channel, deliveryTag: tag, requeue: false)
            }
        case .pause(let number):
            let delay = Duration.milliseconds(Int64.random(in: 250...500))
            core.loop.schedule(at: .now.advanced(by: delay)) { [weak self] in self?.feed(.pauseOver(number)) }
        case .grant(_, let token): grant(token)
        case .contended: entry.answer(.contended)
        case .fail(_, let fault, let doing): entry.answer(.failed(entry.refusal(fault, doing: doing)))
        case .lose(let reason): entry.lose(reason)
        case .report(let what): entry.reportStranger(what)
        case .trouble(let what): entry.reportTrouble(what)
        }
    }

    private func grant(_ token: TokenMachine.Token) {
        let fence = Result { () throws(LockError) in
            try TokenNumber.fence(number: token.message.number, count: token.count, at: Date())
        }
        entry.grant(fence, for: core.settings.maximumHold)
    }

    private func seed() {
        let message: TokenMessage
        do throws(LockError) {
            let number = try TokenNumber.seed(at: Date(), above: names.largest[entry.name]?.rawValue)
            message = TokenMessage(number: number, nonce: Nonce())
        } catch {
            entry.turnAway(error)
            return feed(.seedFailed)
        }
        names.publish(objects.queue, message) { [weak self] outcome in
            switch outcome {
            case .arrived: self?.feed(.seeded(message.nonce))
            case .unknown, .unroutable: self?.feed(.seedFailed)
            case .refused(let code, let text): self?.feed(.seedRefused(.init(code: code, text: text)))
            }
        }
    }

    private func mint(_ number: UInt64, above token: TokenMachine.Token) {
        let message: TokenMessage
        do throws(LockError) {
            let granted = try TokenNumber.fence(number: token.message.number, count: token.count, at: Date())
            let largest = max(granted.rawValue, names.largest[entry.name]?.rawValue ?? 0)
            message = TokenMessage(number: try TokenNumber.seed(at: Date(), above: largest), nonce: Nonce())
        } catch {
            entry.turnAway(error)
            return feed(.mintFailed(number))
        }
        names.publish(objects.queue, message) { [weak self] outcome in
            switch outcome {
            case .arrived: self?.feed(.minted(number, message.nonce))
            case .unknown, .unroutable: self?.feed(.mintFailed(number))
            case .refused(let code, let text): self?.feed(.mintRefused(number, .init(code: code, text: text)))
            }
        }
    }

    private func verify(_ number: UInt64, _ nonce: Nonce) {
        let call = VerificationCall(number: number, for: self)
        guard let channel = names.verificationChannel(for: call) else {
            return feed(.verificationFailed(number, .outOfChannels))
        }
        call.channel = channel
        declareRegister(nonce, on: channel)
    }

    func verificationEnded(_ call: VerificationCall, _ event: TokenMachine.Event, reusable: Bool) {
        if reusable { names.recycle(call.channel) }
        feed(event)
    }

    // MARK: Frames

    private func send(_ request: TokenMachine.Request) {
        let (objects, behaviour) = (objects, core.behaviour)
        if case .claimRegister(let nonce) = request {
            if let channel = channel.number { declareRegister(nonce, on: channel) }
            return
        }
        channel.request { connection, channel throws(ConnectionFailure) in
            switch request {
            case .findRegister: try connection.queueDeclare(channel, objects.register, passive: true)
            case .findQueue: try connection.queueDeclare(channel, objects.queue, passive: true)
            case .declareQueue:
                try connection.queueDeclare(
                    channel, objects.queue, durable: true, arguments: QueueArguments.token(objects, behaviour).pairs)
            case .lockMend:
                try connection.queueDeclare(
                    channel, objects.mend, exclusive: true, arguments: QueueArguments.mend.pairs)
            case .deleteRegister: try connection.queueDelete(channel, objects.register)
            case .unlockMend: try connection.queueDelete(channel, objects.mend)
            case .claimRegister: break
            }
        }
    }

    private func declareRegister(_ nonce: Nonce, on channel: UInt16) {
        let arguments = QueueArguments.register(nonce, core.settings.durability)
        core.request(on: channel) { [objects] connection throws(ConnectionFailure) in
            try connection.queueDeclare(channel, objects.register, durable: true, arguments: arguments.pairs)
        }
    }

    private func consume(_ queue: String, tag: String, noAck: Bool) {
        channel.request { connection, channel throws(ConnectionFailure) in
            try connection.basicConsume(channel, queue, tag: tag, noAck: noAck)
        }
    }

    private func cancel(_ tag: Tag) {
        channel.write { connection, channel throws(ConnectionFailure) in
            try connection.basicCancel(channel, tag: tag.text, nowait: true)
        }
    }

    /// RabbitMQ 3.10.8 answers for a quorum queue as soon as it is recorded, and ends the whole connection when a consume
    /// comes before its process has started (541): all locks of this session. So we consume from a register that has a
    /// consumer already, or that has confirmed a message. The message means nothing, and whoever is pinned drops it.
    private func placePin() {
        awaitedPin = channel.number
        guard !isRegisterUp, core.settings.durability == .replicated else { return pinIfAwaited() }
        prove()
        // Nothing is confirmed during an alarm; no broker that works takes that long to start a queue.
        core.loop.schedule(at: .now.advanced(by: .seconds(1))) { [weak self] in
            guard let self, names.obstacle() != nil else { return }
            pinIfAwaited()
        }
    }

    private func prove() {
        names.publish(objects.register, TokenMessage(number: 0, nonce: Nonce())) { [weak self] outcome in
            guard let self, core.end == nil, let awaited = awaitedPin else { return }
            switch outcome {
            case .arrived:
                isRegisterUp = true
                pinIfAwaited()
            // It has been deleted, or we may not publish: the consume is refused in good order, or goes well.
            case .unroutable, .refused: pinIfAwaited()
            // A publish that comes too early ends its connection in the same way, which costs no lock.
            case .unknown:
                core.loop.schedule(at: .now.advanced(by: .milliseconds(Int64.random(in: 50...150)))) { [weak self] in
                    if let self, awaitedPin == awaited { prove() }
                }
            }
        }
    }

    private func pinIfAwaited() {
        guard core.end == nil, let awaitedPin, awaitedPin == channel.number else { return }
        self.awaitedPin = nil
        consume(objects.register, tag: Tag.pin.text, noAck: true)
    }

    private func openChannel() {
        guard !channel.open(for: self, prefetch: 1) else { return }
        let isTemporary = names.makeRoom()
        feed(isTemporary ? .channelUnavailable : .channelClosed(.outOfChannels))
    }
}
