import Foundation
import MQLock

/// The exclusive queue mutex of one name: performs what its state machine says.
final class ExclusiveDriver: NameDriver, ChannelHandler, @unchecked Sendable {
    private unowned let entry: NameEntry
    private var names: LockNames { entry.names }
    private var core: SessionCore { entry.core }
    private var machine = ExclusiveMachine()
    private var line: NameChannel
    private var claim: NameChannel
    private var register: NameChannel
    private var question: NameChannel
    /// Whether this session has found or made the queues before.
    private var hasMadeContact = false
    private var joinedAt = ContinuousClock.now
    /// The channel on which the line was declared and is yet to be consumed.
    private var joining: UInt16?
    private var isSeedingLine = false
    private var renewal: TimerID?

    /// Room for a kept message, our own, and a few that come at once after a holder's death.
    private static let prefetch: UInt16 = 8

    init(_ entry: NameEntry) {
        self.entry = entry
        line = NameChannel(entry.core)
        claim = NameChannel(entry.core)
        register = NameChannel(entry.core)
        question = NameChannel(entry.core)
    }

    var isQuiet: Bool { machine.isQuiet }
    var needsContact: Bool { !hasMadeContact }

    func contend(_ attempt: Attempt, waits: Bool) { feed(waits ? .acquire(attempt) : .tryAcquire(attempt)) }
    func abandon(_ attempt: Attempt) { feed(.abandon(attempt)) }
    func release() { feed(.release) }
    func close() {}

    // MARK: The machine

    func received(_ inbound: Inbound) {
        guard let channel = channel(inbound.channel) else { return }
        switch inbound {
        case .queueDeclareOK(_, _, let messages, let consumers):
            declared(on: channel, messages, consumers)
        case .queueDeleteOK: feed(.deleted)
        case .consumeOK(_, let tag):
            switch Consumer(rawValue: tag) {
            case .line: feed(.standing)
            case .register: feed(.reading)
            case .queue: feed(.watching)
            case nil: break
            }
        case .delivery(_, let delivery): deliver(delivery)
        case .cancelledByBroker(_, let tag):
            guard let consumer = Consumer(rawValue: tag) else { break }
            // The line that comes next is a new one.
            if consumer == .line { hasMadeContact = false }
            feed(.cancelledByBroker(consumer))
        case .channelClosed(_, let code, let text, _, _):
            forget(channel)
            feed(.channelClosed(channel, .init(code: code, text: text)))
        default: break
        }
    }

    private typealias Channel = ExclusiveMachine.Channel
    private typealias Consumer = ExclusiveMachine.Consumer

    private func declared(on channel: Channel, _ messages: UInt32, _ consumers: UInt32) {
        switch channel {
        case .line:
            feed(.lineDeclared(messages: messages, consumers: consumers))
            // Counts show that the line is up; where they are 0 the seed's confirm does, see `join`.
            if messages > 0 || consumers > 0 || !isSeedingLine { standIfJoining() }
        case .claim: feed(.claimed)
        case .register: feed(.registerDeclared(messages: messages, consumers: consumers))
        case .question: feed(.exists)
        }
    }

    private func deliver(_ delivery: Delivery) {
        switch delivery.consumerTag.flatMap(Consumer.init(rawValue:)) {
        case .line:
            let isTurn = !delivery.isOversize && TurnMessage(payload: delivery.body) != nil
            feed(.lineDelivered(delivery.deliveryTag, isTurn: isTurn))
        case .register:
            var content = ExclusiveMachine.Content.stranger
            if !delivery.isOversize, let message = FenceMessage(payload: delivery.body) {
                content = .number(message, isFarAhead: isFarAhead(message.number))
            }
            feed(.registerDelivered(delivery.deliveryTag, redelivered: delivery.redelivered, content))
        // Nobody publishes to the lock's own queue; its consumer acknowledges nothing.
        case .queue: entry.reportStranger("a message in an exclusive queue of mqlock.v1")
        case nil: break
        }
    }

    private func fence(_ number: UInt64) -> Result<FencingToken, LockError> {
        Result { () throws(LockError) in try TokenNumber.fence(number: number, count: 0, at: Date()) }
    }

    private func isFarAhead(_ number: UInt64) -> Bool {
        if case .failure = fence(number) { true } else { false }
    }

    private func feed(_ event: ExclusiveMachine.Event) {
        for action in machine.handle(event) {
            guard core.end == nil else { return }
            perform(action)
        }
        if !machine.isContacting { names.contactEnded(entry) }
    }

    private func perform(_ action: ExclusiveMachine.Action) {
        switch action {
        case .join: join()
        case .claim: declare()
        case .watch: consume(line, entry.objects.queue, .queue, noAck: true)
        case .ask: ask()
        case .askWhich: askWhich()
        case .close(let channel): close(channel)
        case .delete(let channel, let opens): delete(on: channel, opens: opens)
        case .seed(let what): seed(what)
        case .publish(let number): publish(above: number)
        case .acknowledge(.line, let delivery): line.acknowledge(delivery)
        case .acknowledge(_, let delivery): register.acknowledge(delivery)
        case .renewTurn(let delivery):
            line.write { connection, channel throws(ConnectionFailure) in
                try connection.basicNack(channel, deliveryTag: delivery, requeue: true)
            }
        case .start(let timer, let number):
            core.loop.schedule(at: .now.advanced(by: delay(timer))) { [weak self] in self?.feed(.timer(timer, number)) }
        case .grant(_, let number):
            // No limit: the turn is renewed, and nothing else of the hold is a delivery.
            entry.grant(fence(number), for: nil)
            if machine.state == .held { scheduleRenewal() }
        case .contended: entry.answer(.contended)
        case .fail(_, let fault, let doing): entry.answer(.failed(entry.refusal(fault, doing: doing)))
        case .failFarAhead(_, let number):
            if case .failure(let error) = fence(number) { entry.answer(.failed(error)) }
        case .lose(let reason): entry.lose(reason)
        case .report(let what): entry.reportStranger(what)
        case .trouble(let what): entry.reportTrouble(what)
        case .endSession: core.finish(.requestUnanswered)
        }
    }

    private func delay(_ timer: ExclusiveMachine.Timer) -> Duration {
        switch timer {
        case .restart, .publish: .milliseconds(Int64.random(in: 250...500))
        // Behind a living holder seeds are superfluous, so there are fewer and fewer of them.
        case .seed: .milliseconds(Int64.random(in: 750...1250)) * (1 << min(machine.seedRound, 6))
        // A dead holder's queue goes some milliseconds after its place in line. Every refusal is an error in the broker's
        // log, so whatever lasts longer is asked for less and less often.
        case .claim:
            // 10 ms, 30 ms, …
            min(.milliseconds(10 * pow(3, Double(machine.refusals - 1))), .seconds(8)) * Double.random(in: 0.75...1.25)
        // From the line's answer to the turn it takes no round trip at all, if we are the first.
        case .answer: max(.milliseconds(25), joinedAt.duration(to: .now) * 4)
        case .limit: .seconds(2)
        case .delete: .milliseconds(50)
        }
    }

    /// The broker takes a delivery back that is not acknowledged in time, and closes its channel.
    private func scheduleRenewal() {
        if let renewal { core.loop.cancel(renewal) }
        renewal = core.loop.schedule(at: .now.advanced(by: core.settings.renewalInterval)) { [weak self] in
            guard let self, machine.state == .held else { return }
            feed(.renewalDue)
            scheduleRenewal()
        }
    }

    // MARK: Publishing

    private func seed(_ what: ExclusiveMachine.Seeded) {
        let (queue, message): (String, any LockMessage)
        switch what {
        case .line:
            isSeedingLine = true
            (queue, message) = (entry.objects.line, TurnMessage(nonce: Nonce()))
        case .register:
            do throws(LockError) {
                let number = try TokenNumber.seed(at: Date(), above: names.largest[entry.name]?.rawValue)
                (queue, message) = (entry.objects.fence, FenceMessage(number: number, nonce: Nonce()))
            } catch {
                entry.turnAway(error)
                return feed(.seeded(what))
            }
        }
        names.publish(queue, message) { [weak self] outcome in
            guard let self else { return }
            if what == .line { isSeedingLine = false }
            switch outcome {
            case .arrived:
                feed(.seeded(what))
                if what == .line { standIfJoining() }
            case .unknown, .unroutable:
                feed(.seeded(what))
                if what == .line { declareAgainIfJoining() }
            case .refused(let code, let text): feed(.seedRefused(what, .init(code: code, text: text)))
            }
        }
    }

    private func publish(above number: UInt64) {
        let message: FenceMessage
        do throws(LockError) {
            // A register that was made anew may begin below what this process has seen of the name.
            let largest = max(number, names.largest[entry.name]?.rawValue ?? 0)
            message = FenceMessage(number: try TokenNumber.next(above: largest, at: Date()), nonce: Nonce())
        } catch {
            return entry.turnAway(error)
        }
        feed(.publishing(message))
        let nonce = message.nonce
        names.publish(entry.objects.fence, message) { [weak self] outcome in
            switch outcome {
            case .arrived: self?.feed(.confirmed(nonce))
            case .unknown, .unroutable: self?.feed(.unconfirmed(nonce))
            case .refused(let code, let text): self?.feed(.publishRefused(nonce, .init(code: code, text: text)))
            }
        }
    }
}

// MARK: Frames

extension ExclusiveDriver {
    private func channel(_ number: UInt16) -> Channel? {
        switch number {
        case line.number: .line
        case claim.number: .claim
        case register.number: .register
        case question.number: .question
        default: nil
        }
    }

    private func forget(_ channel: Channel) {
        switch channel {
        case .line:
            joining = nil
            line.forget()
        case .claim: claim.forget()
        case .register: register.forget()
        case .question: question.forget()
        }
    }

    private func close(_ channel: Channel) {
        switch channel {
        case .line:
            joining = nil
            line.close()
        case .claim: claim.close()
        case .register: register.close()
        case .question: question.close()
        }
    }

    /// Opens a channel; false when there is none to be had, which the machine has been told.
    private func open(_ channel: Channel) -> Bool {
        let isOpen =
            switch channel {
            case .line: line.open(for: self, prefetch: Self.prefetch)
            case .claim: claim.open(for: self, prefetch: Self.prefetch)
            case .register: register.open(for: self, prefetch: Self.prefetch)
            case .question: question.open(for: self, prefetch: Self.prefetch)
            }
        if isOpen { return true }
        feed(names.makeRoom() ? .channelUnavailable(channel) : .channelClosed(channel, .outOfChannels))
        return false
    }

    private func join() {
        guard open(.line) else { return }
        joinedAt = .now
        // Declared every time, though it is there: to consume a queue of another kind, made meanwhile, would be no line.
        declareHelper(line, entry.objects.line)
        // RabbitMQ 3.10.8 ends the whole connection when a quorum queue is consumed that is recorded and not yet up (541). So
        // at first contact with a line that shows nothing we stand in it when our seed has been confirmed.
        joining = line.number
        if hasMadeContact || core.settings.durability == .fast { standIfJoining() }
    }

    private func standIfJoining() {
        guard core.end == nil, let joining, joining == line.number else { return }
        self.joining = nil
        hasMadeContact = true
        joinedAt = .now
        consume(line, entry.objects.line, .line)
    }

    /// A publish that comes too early ends its connection in the same way, which costs no lock.
    private func declareAgainIfJoining() {
        guard let awaited = joining else { return }
        core.loop.schedule(at: .now.advanced(by: .milliseconds(Int64.random(in: 50...150)))) { [weak self] in
            guard let self, joining == awaited, !isSeedingLine else { return }
            declareHelper(line, entry.objects.line)
        }
    }

    private func declare() {
        guard open(.claim) else { return }
        let queue = entry.objects.queue
        claim.request { connection, channel throws(ConnectionFailure) in
            try connection.queueDeclare(channel, queue, exclusive: true, arguments: QueueArguments.exclusive.pairs)
        }
        // Reading begins before the answer, which takes longer: whoever is served alone, may raise the number.
        guard open(.register) else { return }
        declareHelper(register, entry.objects.fence)
        consume(register, entry.objects.fence, .register)
    }

    private func declareHelper(_ channel: NameChannel, _ queue: String) {
        let arguments = QueueArguments.helper(core.behaviour)
        channel.request { connection, channel throws(ConnectionFailure) in
            try connection.queueDeclare(channel, queue, durable: true, arguments: arguments.pairs)
        }
    }

    private func consume(_ channel: NameChannel, _ queue: String, _ consumer: Consumer, noAck: Bool = false) {
        channel.request { connection, channel throws(ConnectionFailure) in
            try connection.basicConsume(channel, queue, tag: consumer.rawValue, noAck: noAck)
        }
    }

    private func ask() {
        guard open(.question) else { return }
        let queue = entry.objects.queue
        question.request { connection, channel throws(ConnectionFailure) in
            try connection.queueDeclare(channel, queue, passive: true)
        }
    }

    private func askWhich() {
        let (queue, arguments) = (entry.objects.queue, QueueArguments.whichKind(core.behaviour))
        question.request { connection, channel throws(ConnectionFailure) in
            try connection.queueDeclare(channel, queue, durable: true, arguments: arguments.pairs)
        }
    }

    private func delete(on channel: Channel, opens: Bool) {
        if opens, !open(channel) { return }
        let queue = entry.objects.queue
        (channel == .line ? line : claim).request { connection, channel throws(ConnectionFailure) in
            try connection.queueDelete(channel, queue)
        }
    }
}
