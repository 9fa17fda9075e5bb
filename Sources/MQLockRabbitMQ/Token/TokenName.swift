import Foundation
import MQLock

/// One name in one session: performs what its state machine says and keeps what that does not know: the channel's
/// number, the waiting contender, the lease, the timers.
final class TokenName: ChannelHandler, @unchecked Sendable {
    /// What a contender is told.
    enum Answer: Sendable {
        case granted(LeaseRecord)
        case contended
        /// The deadline passed; with what stood in the way, if that is known.
        case timedOut(String?)
        case cancelled
        case sessionEnded(SessionEnd)
        case failed(LockError)
    }

    let name: LockName
    private let objects: ObjectNames
    unowned let names: TokenNames
    private var core: SessionCore { names.core }
    private var machine = TokenMachine()
    private var channel: UInt16?
    private var wants = TokenMachine.Event.release
    private var contender: (attempt: TokenMachine.Attempt, answer: (Answer) -> Void)?
    private var deadline: TimerID?
    private var holdTimer: TimerID?
    private var record: LeaseRecord?
    /// What has kept contenders from being granted.
    private var trouble: String?
    /// Whether the contender waits for other names' first contact to be over.
    private var isParked = false

    init(_ name: LockName, _ objects: ObjectNames, in names: TokenNames) {
        self.name = name
        self.objects = objects
        self.names = names
        machine.mutantKeepsLateDeliveries = names.core.settings.mutantKeepsLateDeliveries
    }

    var isQuiet: Bool { machine.isQuiet && contender == nil && record == nil }
    var isHeld: Bool { record != nil }

    // MARK: Contenders

    func contend(
        _ attempt: TokenMachine.Attempt, waits: Bool, deadline: ContinuousClock.Instant?,
        answer: @escaping (Answer) -> Void
    ) {
        contender = (attempt, answer)
        if let deadline {
            self.deadline = core.loop.schedule(at: deadline) { [weak self] in
                guard let self else { return }
                abandon(attempt, .timedOut(names.obstacle() ?? trouble))
            }
        }
        // A holder whose lease has run out by the clock leaves the line before this thread has noticed.
        if let record, record.settleIfExpired() || record.state.isFinal { endHold() }
        wants = waits ? .acquire(attempt) : .tryAcquire(attempt)
        isParked = machine.state == .closed && !names.admit(self)
        if !isParked { feed(wants) }
    }

    /// Its turn for a first contact has come; false when nobody wants it any more.
    func unpark() -> Bool {
        guard isParked, contender != nil else { return false }
        isParked = false
        feed(wants)
        return true
    }

    func abandon(_ attempt: TokenMachine.Attempt, _ answer: Answer) {
        guard contender?.attempt == attempt else { return }
        self.answer(answer)
        if !isParked { feed(.abandon(attempt)) }
        isParked = false
    }

    func release(_ record: LeaseRecord) {
        guard self.record === record else { return }
        endHold()
        feed(.release)
        names.drainedIfSo()
    }

    func turnAway() {
        if let contender { abandon(contender.attempt, .failed(.shutDown)) }
    }

    private func answer(_ answer: Answer) {
        if let deadline { core.loop.cancel(deadline) }
        deadline = nil
        let contender = self.contender
        self.contender = nil
        contender?.answer(answer)
    }

    private func endHold() {
        if let holdTimer { core.loop.cancel(holdTimer) }
        holdTimer = nil
        record = nil
    }

    // MARK: The session

    func setSuspect(_ suspect: Bool) {
        guard let record, record.setSuspect(suspect), suspect else { return }
        names.relay.send(LockEvent(.suspect, at: .now, record: record, owner: record.owner))
    }

    func lose(_ reason: LossReason) {
        let record = self.record
        endHold()
        record?.lose(reason)
        names.drainedIfSo()
    }

    func sessionEnded(_ end: SessionEnd) { answer(.sessionEnded(end)) }

    /// Gives the channel back; the name is quiet.
    func close() {
        if let channel { core.closeChannel(channel) }
        channel = nil
    }

    // MARK: The machine

    func received(_ inbound: Inbound) {
        switch inbound {
        case .queueDeclareOK, .queueDeleteOK: feed(.done)
        case .consumeOK(_, let tag): if let tag = Tag(tag) { feed(.consumeConfirmed(tag)) }
        case .cancelledByBroker(_, let tag): if let tag = Tag(tag) { feed(.cancelledByBroker(tag)) }
        case .delivery(_, let delivery), .gotMessage(_, let delivery): deliver(delivery)
        case .getEmpty: feed(.gotNothing)
        case .channelClosed(_, let code, let text, _, _):
            channel = nil
            feed(.channelClosed(.init(code: code, text: text)))
        default: break
        }
    }

    typealias Tag = TokenMachine.Tag

    private func deliver(_ delivery: Delivery) {
        let content: TokenMachine.Content
        if !delivery.isOversize, let message = TokenMessage(payload: delivery.body) {
            // 4.3 counts every hand-over in x-acquired-count; before, x-delivery-count does.
            let count =
                delivery.properties.headers["x-acquired-count"] ?? delivery.properties.headers["x-delivery-count"]
            content = .token(message, count: count?.integer ?? 0)
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
        if !machine.isContacting { names.contactEnded(self) }
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
            request { [objects] connection, channel throws(ConnectionFailure) in
                try connection.basicGet(channel, objects.queue, noAck: false)
            }
        case .cancel(let tag):
            write { connection, channel throws(ConnectionFailure) in
                try connection.basicCancel(channel, tag: Tag.token(tag).text, nowait: true)
            }
        case .acknowledge(let tag):
            write { connection, channel throws(ConnectionFailure) in
                try connection.basicAck(channel, deliveryTag: tag, multiple: false)
            }
        case .putBack(let tag):
            write { connection, channel throws(ConnectionFailure) in
                try connection.basicNack(channel, deliveryTag: tag, requeue: true, multiple: false)
            }
        case .pause(let number):
            let delay = Duration.milliseconds(Int64.random(in: 250...500))
            core.loop.schedule(at: .now.advanced(by: delay)) { [weak self] in self?.feed(.pauseOver(number)) }
        case .grant(_, let token): grant(token)
        case .contended: answer(.contended)
        case .fail(_, let fault, let doing): answer(.failed(refusal(fault, doing: doing)))
        case .lose(let reason): lose(reason)
        case .report(let what): report("dropped \(what)")
        case .trouble(let what):
            trouble = what
            report(what)
        }
    }

    private func report(_ detail: String) {
        names.relay.send(LockEvent(.stranger, at: .now, name: name, owner: core.settings.owner, detail: detail))
    }

    private func grant(_ token: TokenMachine.Token) {
        let fence: FencingToken
        do throws(LockError) {
            fence = try TokenNumber.fence(number: token.message.number, count: token.count, at: Date())
            guard names.largest.raise(name, to: fence) else {
                throw LockError(
                    .tokenRegression,
                    """
                    the broker hands out the lock \(name) with the fencing token \(fence), and this process has seen \
                    \(names.largest[name].map(\.description) ?? "more") already: its queues were restored from a \
                    backup, or made anew by a host whose clock is behind
                    """)
            }
        } catch {
            feed(.release)
            return answer(.failed(error))
        }
        guard core.proof.isAlive else { return core.finish(.proofOverdue) }
        let limit = ContinuousClock.now.advanced(by: core.settings.maximumHold)
        let record = LeaseRecord(
            name: name, token: fence, owner: core.settings.owner, proof: core.proof, limit: limit,
            origin: names.session)
        self.record = record
        trouble = nil
        holdTimer = core.loop.schedule(at: limit) { [weak self] in self?.reachedLimit(record) }
        answer(.granted(record))
    }

    private func reachedLimit(_ record: LeaseRecord) {
        guard self.record === record else { return }
        record.lose(LossReason(.holdLimit, "a token cannot be held longer than \(core.settings.maximumHold.readable)"))
        endHold()
        feed(.holdLimitReached)
        names.drainedIfSo()
    }

    private func seed() {
        let message: TokenMessage
        do throws(LockError) {
            let number = try TokenNumber.seed(at: Date(), above: names.largest[name]?.rawValue)
            message = TokenMessage(number: number, nonce: Nonce())
        } catch {
            if let contender { abandon(contender.attempt, .failed(error)) }
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
            return feed(.verificationFailed(number, .init(code: 0, text: outOfChannels)))
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
            if let channel { declareRegister(nonce, on: channel) }
            return
        }
        self.request { connection, channel throws(ConnectionFailure) in
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
        request { connection, channel throws(ConnectionFailure) in
            try connection.basicConsume(channel, queue, tag: tag, noAck: noAck)
        }
    }

    private func openChannel() {
        guard let channel = core.openChannel(for: self) else {
            let isTemporary = names.makeRoom()
            return feed(isTemporary ? .channelUnavailable : .channelClosed(.init(code: 0, text: outOfChannels)))
        }
        self.channel = channel
        write { connection, channel throws(ConnectionFailure) in try connection.basicQos(channel, prefetch: 1) }
    }

    private func request(_ body: (AMQPConnection, UInt16) throws(ConnectionFailure) -> Void) {
        guard let channel else { return }
        core.request(on: channel) { connection throws(ConnectionFailure) in try body(connection, channel) }
    }

    private func write(_ body: (AMQPConnection, UInt16) throws(ConnectionFailure) -> Void) {
        guard let channel else { return }
        core.perform { connection throws(ConnectionFailure) in try body(connection, channel) }
    }
}
