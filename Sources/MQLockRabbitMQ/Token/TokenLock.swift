import MQLock

/// The token mutex of one name: carries out the actions of its machine.
final class TokenLock: BrokerLock {
    private var machine = TokenMachine()
    private var events: [TokenMachine.Event] = []
    private var channel: Channel?
    /// How many answers the current request still needs.
    private var answersDue = 0
    /// Whether the register has shown that it is up, not only recorded; see `placePin`.
    private var isRegisterUp = false
    /// Whether to place our consumer on the register as soon as that is known.
    private var isPinAwaited = false
    /// Whether the register is being bound, so we can publish to it.
    private var isBinding = false
    private let timers: Timers<Timer>

    private enum Timer: Hashable { case machine(TokenMachine.Timer), pin }

    override init(_ name: LockName, _ objects: ObjectNames, _ locks: Locks) {
        timers = Timers(locks.loop)
        super.init(name, objects, locks)
    }

    override var channels: [Channel?] { [channel] }
    override var quorumQueues: [String] { [objects.queue, objects.register] }
    override var isQuietAtBroker: Bool { machine.isQuiet }
    override var needsContact: Bool { machine.state == .closed }
    override var needsPublish: Bool { machine.isContacting || machine.state == .pausing }

    override func acquireAtBroker(waits: Bool) { feed(waits ? .acquire : .tryAcquire) }
    override func cancelAtBroker() { feed(.cancel) }
    override func releaseAtBroker() { feed(.release) }
    override func forget() { closeChannel() }

    override func prepare(_ session: Session) { machine = TokenMachine(cancelled: session.behavior.cancelled) }

    override func resetAtBroker() {
        timers.stopAll()
        (events, channel) = ([], nil)
        forgetChannel()
    }

    // MARK: The machine

    private func feed(_ event: TokenMachine.Event) {
        events.append(event)
        // Events caused by an action are handled after all the actions of the current event.
        guard events.count == 1 else { return }
        while let event = events.first {
            for action in machine.handle(event) { perform(action) }
            if !events.isEmpty { events.removeFirst() }
        }
        if !machine.isContacting { locks.contactEnded(self) }
    }

    private func perform(_ action: TokenMachine.Action) {
        switch action {
        case .openChannel: openChannel()
        case .closeChannel: closeChannel()
        case .request(let request): send(request)
        case .seed: seed()
        case .verify(let number, let nonce): verify(number, nonce)
        case .count: channel?.declare(objects.queue, passive: true)
        case .countPins: channel?.declare(objects.register, passive: true)
        case .identify(let number): identify(number)
        case .consume(let tag):
            channel?.consumeUntilDeleted(objects.queue, tag: TokenMachine.Tag.token(tag).text, behavior)
        case .get:
            channel?.request(.got) { [objects] connection, channel throws(ConnectionFailure) in
                try connection.basicGet(channel, objects.queue)
            }
        case .placePin: placePin()
        case .cancel(let tag):
            channel?.write { connection, channel throws(ConnectionFailure) in
                try connection.basicCancel(channel, tag: TokenMachine.Tag.token(tag).text, nowait: true)
            }
        case .acknowledge(let delivery): channel?.acknowledge(delivery)
        case .putBack(let delivery): channel?.putBack(delivery)
        case .start(let start): startTimer(start)
        case .stop(let timer): timers.stop(.machine(timer))
        case .grant(let token): grant(fence(token), for: settings.maximumHold)
        case .contended: contended()
        case .refuse(let fault, let doing): fail(refusal(fault, doing: doing))
        case .lose(let reason): lose(reason)
        case .report(let what): reportForeign(what)
        case .trouble(let what): reportTrouble(what)
        }
    }

    static let pause = GrowingDelay(.milliseconds(500) ... .milliseconds(500))

    /// How long to wait before the token counts as gone: each contender ahead may have it for as long as the broker
    /// lets a message be out. Jitter keeps contenders that came together from mending together.
    static func patience(behind consumers: UInt32, _ settings: SessionSettings) -> Duration {
        let once = settings.acknowledgementTimeout.bounded + settings.healingSlack
        return (once * (Int(consumers) + 1) + .milliseconds(Int64.random(in: 0...1000))).bounded
    }

    private func startTimer(_ start: TokenMachine.Start) {
        let (timer, delay): (TokenMachine.Timer, Duration)
        switch start {
        case .pause: (timer, delay) = (.pause, Self.pause.delay(before: 1))
        case .heal(let consumers): (timer, delay) = (.heal, Self.patience(behind: consumers, settings))
        case .look: (timer, delay) = (.look, settings.lookInterval ?? behavior.lookInterval)
        }
        timers.start(.machine(timer), after: delay) { [weak self] in self?.feed(.timer(timer)) }
    }

    private func fence(_ token: TokenMachine.Token) -> Result<FencingToken, LockError> {
        Result { () throws(LockError) in
            try TokenNumber.fence(token.message.number, returns: token.count)
        }
    }

    // MARK: Messages

    override func received(_ inbound: Inbound, on channel: Channel) {
        guard channel === self.channel else { return }
        switch inbound {
        case .queueDeclareOK(_, let queue, _, let consumers):
            if queue == objects.register, consumers > 0 { isRegisterUp = true }
            if answersDue > 0 { return answered() }
            feed(queue == objects.register ? .pinned(consumers) : .counted(consumers))
        case .queueBindOK where isBinding:
            isBinding = false
            prove()
        case .exchangeDeclareOK, .queueBindOK, .queueDeleteOK: answered()
        case .consumeOK(_, let tag): if let tag = TokenMachine.Tag(tag) { feed(.consumeConfirmed(tag)) }
        case .cancelledByBroker(_, let tag):
            isRegisterUp = false
            if let tag = TokenMachine.Tag(tag) { feed(.cancelledByBroker(tag)) }
        case .delivery(_, let delivery), .gotMessage(_, let delivery): deliver(delivery)
        case .getEmpty: feed(.gotNothing)
        case .channelClosed(_, let code, let text, _, _):
            self.channel = nil
            forgetChannel()
            let fault = ChannelFault(code: code, text: text)
            learn(from: fault)
            feed(.channelClosed(fault))
        default: break
        }
    }

    private func answered() {
        answersDue -= 1
        if answersDue == 0 { feed(.done) }
    }

    private func deliver(_ delivery: Delivery) {
        var content = TokenMachine.Content.foreign
        if let text = MessageText(delivery) {
            let count = BrokerBehavior.returns(of: delivery.properties)
            content =
                TokenMessage(text).map { message in
                    let isAbsurd = count == 0 && (try? TokenNumber.fence(message.number, returns: 0)) == nil
                    return .token(message, count: count, isAbsurd: isAbsurd)
                } ?? .otherKind
        }
        var number: UInt64?
        if let tag = delivery.consumerTag {
            // Messages in the register mean nothing; its consumer removes them (no-ack).
            guard case .token(let known)? = TokenMachine.Tag(tag) else { return }
            number = known
        }
        feed(.delivered(consumer: number, delivery.deliveryTag, content))
    }

    // MARK: Requests

    private func openChannel() {
        channel = openContendersChannel()
        guard channel == nil else { return }
        feed(awaitsChannel ? .channelUnavailable : .channelClosed(.outOfChannels))
    }

    private func closeChannel() {
        for timer in [TokenMachine.Timer.heal, .look] { timers.stop(.machine(timer)) }
        channel?.close()
        channel = nil
        forgetChannel()
    }

    private func forgetChannel() {
        (answersDue, isRegisterUp, isPinAwaited, isBinding) = (0, false, false, false)
        timers.stop(.pin)
    }

    private func send(_ request: Preparation.Request) {
        answersDue = 1
        switch request {
        case .findRegister: channel?.declare(objects.register, passive: true)
        case .findQueue: channel?.declare(objects.queue, passive: true)
        case .declareQueue:
            answersDue = 3
            channel?.declareBound(objects.queue, QueueArguments.token(behavior))
        case .claimRegister(let nonce):
            channel?.declare(objects.register, durable: true, QueueArguments.register(nonce).pairs)
        case .lockMend: channel?.declare(objects.mend, exclusive: true, QueueArguments.mend.pairs)
        case .deleteRegister: channel?.delete(objects.register)
        case .unlockMend: channel?.delete(objects.mend)
        }
    }

    private var behavior: BrokerBehavior { session?.behavior ?? BrokerBehavior(BrokerVersion(announced: nil)) }

    private func verify(_ number: UInt64, _ nonce: Nonce) {
        let call = Verification { [weak self] answer in
            switch answer {
            case nil: self?.feed(.verified(number))
            case let fault? where fault.isOtherKind: self?.feed(.refuted(number))
            case let fault?: self?.feed(.verificationFailed(number, fault))
            }
        }
        guard let channel = session?.link.open(for: call) else {
            return feed(.verificationFailed(number, .outOfChannels))
        }
        channel.declare(objects.register, durable: true, QueueArguments.register(nonce).pairs)
    }

    /// Uses a declaration that can never create a queue: the refusal quotes the register's nonce.
    private func identify(_ number: UInt64) {
        let call = Verification { [weak self] fault in
            let nonce = fault.flatMap { InequivalentArgument($0.text)?.current }.flatMap { Nonce($0) }
            let isMissing = fault?.saysInvalid == true
            self?.feed(.identified(number, nonce.map { .says($0) } ?? (isMissing ? .missing : .unknown)))
        }
        guard let channel = session?.link.open(for: call) else { return feed(.identified(number, .unknown)) }
        channel.declare(objects.register, durable: true, QueueArguments.whichRegister.pairs)
    }

    // MARK: Publishing

    private func seed() {
        let message: TokenMessage
        do throws(LockError) {
            let number = try TokenNumber.seed(above: locks.memory.largest[name]?.rawValue)
            message = TokenMessage(number: number, nonce: Nonce())
            tokenMadeAnew()
        } catch {
            turnAway(error)
            return feed(.seeded(Nonce(), .unknown))
        }
        publish(message, to: objects.queue) { [weak self] in self?.feed(.seeded(message.nonce, $0)) }
    }

    /// RabbitMQ 3.10.8 answers for a quorum queue as soon as it is recorded, and ends the whole connection when a
    /// consume comes before its process has started (541): all locks of this session. So we consume only from a
    /// register that already has a consumer, or that has confirmed a message. The message means nothing, and every pin
    /// drops it.
    private func placePin() {
        isPinAwaited = true
        if isRegisterUp { return pin() }
        isBinding = true
        channel?.bind(objects.register)
        // Nothing is confirmed during an alarm, or without a publish connection. No working broker takes that long to
        // start a queue.
        timers.start(.pin, after: .seconds(1)) { [weak self] in
            if self?.session?.publishing.canConfirm == false { self?.pin() }
        }
    }

    private func prove() {
        let message = TokenMessage(number: 0, nonce: Nonce())
        publish(message, to: objects.register) { [weak self, weak channel] outcome in
            guard let self, isPinAwaited, self.channel === channel else { return }
            switch outcome {
            case .arrived:
                isRegisterUp = true
                pin()
            // The register has been deleted with its binding, or we may not publish. The consume is refused cleanly, or
            // succeeds.
            case .unroutable, .refused: pin()
            case .unknown where session?.publishing.obstacle != nil: pin()
            // A publish that comes too early ends the publish connection in the same way, which costs no lock.
            case .unknown:
                timers.start(.pin, after: .milliseconds(Int64.random(in: 50...150))) { [weak self] in
                    if self?.isPinAwaited == true { self?.prove() }
                }
            }
        }
    }

    private func pin() {
        guard isPinAwaited else { return }
        isPinAwaited = false
        timers.stop(.pin)
        channel?.consumeUntilDeleted(objects.register, tag: TokenMachine.Tag.pin.text, noAck: true, behavior)
    }
}

/// One question to the register, on a separate channel because a refusal closes it.
private final class Verification: ChannelHandler {
    private let done: (ChannelFault?) -> Void

    /// - Parameter done: called once; nil: the register names the nonce.
    init(_ done: @escaping (ChannelFault?) -> Void) { self.done = done }

    func received(_ inbound: Inbound, on channel: Channel) {
        switch inbound {
        case .queueDeclareOK:
            channel.close()
            done(nil)
        case .channelClosed(_, let code, let text, _, _): done(.init(code: code, text: text))
        default: break
        }
    }
}
