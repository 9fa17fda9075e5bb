import Foundation
import MQLock

/// The token mutex of one name: performs what its state machine says.
final class TokenDriver: NameDriver, ChannelHandler, @unchecked Sendable {
    private unowned let entry: NameEntry
    private var names: LockNames { entry.names }
    private var core: SessionCore { entry.core }
    private var objects: ObjectNames { entry.objects }
    private var machine = TokenMachine()
    private var channel: NameChannel

    init(_ entry: NameEntry) {
        self.entry = entry
        channel = NameChannel(entry.core)
        machine.mutantKeepsLateDeliveries = entry.core.settings.mutantKeepsLateDeliveries
    }

    var isQuiet: Bool { machine.isQuiet }
    var needsContact: Bool { machine.state == .closed }

    func contend(_ attempt: Attempt, waits: Bool) { feed(waits ? .acquire(attempt) : .tryAcquire(attempt)) }
    func abandon(_ attempt: Attempt) { feed(.abandon(attempt)) }
    func release() { feed(.release) }
    func close() { channel.close() }

    // MARK: The machine

    func received(_ inbound: Inbound) {
        switch inbound {
        case .queueDeclareOK, .queueDeleteOK: feed(.done)
        case .consumeOK(_, let tag): if let tag = Tag(tag) { feed(.consumeConfirmed(tag)) }
        case .cancelledByBroker(_, let tag): if let tag = Tag(tag) { feed(.cancelledByBroker(tag)) }
        case .delivery(_, let delivery), .gotMessage(_, let delivery): deliver(delivery)
        case .getEmpty: feed(.gotNothing)
        case .channelClosed(_, let code, let text, _, _):
            channel.forget()
            feed(.channelClosed(.init(code: code, text: text)))
        default: break
        }
    }

    typealias Tag = TokenMachine.Tag

    private func deliver(_ delivery: Delivery) {
        let content: TokenMachine.Content
        if !delivery.isOversize, let message = TokenMessage(payload: delivery.body) {
            content = .token(message, count: TokenMessage.handOvers(in: delivery.properties.headers))
        } else {
            content = .stranger
        }
        var number: UInt64?
        if let tag = delivery.consumerTag {
            // The register is never published to; what a stranger puts there is taken off by its consumer (no-ack).
            guard case .token(let known)? = Tag(tag) else { return }
            number = known
        }
        feed(.delivered(consumerTag: number, deliveryTag: delivery.deliveryTag, content))
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
        case .placePin: consume(objects.register, tag: Tag.pin.text, noAck: true)
        case .get:
            channel.request { [objects = self.objects] connection, channel throws(ConnectionFailure) in
                try connection.basicGet(channel, objects.queue, noAck: false)
            }
        case .cancel(let tag):
            channel.write { connection, channel throws(ConnectionFailure) in
                try connection.basicCancel(channel, tag: Tag.token(tag).text, nowait: true)
            }
        case .acknowledge(let tag): channel.acknowledge(tag)
        case .putBack(let tag):
            channel.write { connection, channel throws(ConnectionFailure) in
                try connection.basicNack(channel, deliveryTag: tag, requeue: true, multiple: false)
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
            case .unknown: self?.feed(.seedFailed)
            case .refused(let code, let text): self?.feed(.seedRefused(.init(code: code, text: text)))
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
        let (objects, version) = (objects, core.version)
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
                    channel, objects.queue, durable: true, arguments: QueueArguments.token(version).pairs)
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
        core.request(on: channel) { [objects] connection throws(ConnectionFailure) in
            try connection.queueDeclare(
                channel, objects.register, durable: true, arguments: QueueArguments.register(nonce).pairs)
        }
    }

    private func consume(_ queue: String, tag: String, noAck: Bool) {
        channel.request { connection, channel throws(ConnectionFailure) in
            try connection.basicConsume(channel, queue, tag: tag, noAck: noAck)
        }
    }

    private func openChannel() {
        guard !channel.open(for: self, prefetch: 1) else { return }
        let isTemporary = names.makeRoom()
        feed(isTemporary ? .channelUnavailable : .channelClosed(.outOfChannels))
    }
}
