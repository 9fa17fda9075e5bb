import Foundation
import MQLock

/// The single active consumer mutex of one name: performs what its state machine says.
final class SACDriver: NameDriver, ChannelHandler, @unchecked Sendable {
    private unowned let entry: NameEntry
    private var names: LockNames { entry.names }
    private var core: SessionCore { entry.core }
    private var machine = SACMachine()
    private var channel: NameChannel
    /// Whether this session has found or made the queue before.
    private var hasMadeContact = false
    private var joinedAt = ContinuousClock.now
    /// The channel on which the queue was declared and is yet to be consumed.
    private var joining: UInt16?
    private var isSeeding = false
    /// The next renewal, and the instant by which one has to have succeeded.
    private var renewal: (due: TimerID, limit: TimerID)?
    /// What the queue's confirms prove; only looked at with `proof=quorum`.
    private var schedule: QueueProof
    /// The hold's own proof, with `proof=quorum`.
    private var proof: ProofOfLife?

    /// Room for a kept token, our own, and a few that come at once after a holder's death.
    private static let prefetch: UInt16 = 8
    private static let tag = "sac"

    init(_ entry: NameEntry) {
        self.entry = entry
        channel = NameChannel(entry.core)
        schedule = QueueProof(window: entry.core.proofWindow)
        machine.cancelled = entry.core.behaviour.cancelled
    }

    var isQuiet: Bool { machine.isQuiet }
    var needsContact: Bool { !hasMadeContact }

    func contend(_ attempt: Attempt, waits: Bool) { feed(waits ? .acquire(attempt) : .tryAcquire(attempt)) }
    func abandon(_ attempt: Attempt) { feed(.abandon(attempt)) }
    func release() { feed(.release) }
    func close() { channel.close() }

    // MARK: The machine

    func received(_ inbound: Inbound) {
        switch inbound {
        case .queueDeclareOK(_, _, let messages, let consumers):
            feed(.declared(messages: messages, consumers: consumers))
            // Counts show that the queue is up; where they are 0 the seed's confirm does, see `join`.
            if messages > 0 || consumers > 0 || !isSeeding { consumeIfJoining() }
        case .consumeOK: feed(.consuming)
        case .delivery(_, let delivery): deliver(delivery)
        case .cancelledByBroker:
            // The queue that comes next is a new one.
            hasMadeContact = false
            feed(.cancelledByBroker)
        case .channelClosed(_, let code, let text, _, _):
            channel.forget()
            joining = nil
            cancelRenewal()
            feed(.channelClosed(.init(code: code, text: text)))
        default: break
        }
    }

    private func deliver(_ delivery: Delivery) {
        let content: SACMachine.Content
        if !delivery.isOversize, let message = SACMessage(payload: delivery.body) {
            content = .token(message, isFarAhead: fence(message.number).isFailure)
        } else {
            content = .stranger
        }
        feed(.delivered(delivery.deliveryTag, redelivered: delivery.redelivered, content))
    }

    private func fence(_ number: UInt64) -> Result<FencingToken, LockError> {
        Result { () throws(LockError) in try TokenNumber.fence(number: number, count: 0, at: Date()) }
    }

    private func feed(_ event: SACMachine.Event) {
        for action in machine.handle(event) {
            guard core.end == nil else { return }
            perform(action)
        }
        if !machine.isContacting { names.contactEnded(entry) }
    }

    private func perform(_ action: SACMachine.Action) {
        switch action {
        case .openChannel: openChannel()
        case .join: join()
        case .closeChannel:
            cancelRenewal()
            joining = nil
            close()
        case .seed: seed()
        case .publish(let number): publish(above: number)
        case .acknowledge(let delivery): channel.acknowledge(delivery)
        case .start(let timer, let number):
            core.loop.schedule(at: .now.advanced(by: delay(timer))) { [weak self] in self?.feed(.timer(timer, number)) }
        case .grant(_, let number, let nonce): grant(number, nonce)
        case .renewed(let nonce): renewed(nonce)
        case .contended: entry.answer(.contended)
        case .fail(_, let fault, let doing): entry.answer(.failed(entry.refusal(fault, doing: doing)))
        case .failFarAhead(_, let number):
            if case .failure(let error) = fence(number) { entry.answer(.failed(error)) }
        case .lose(let reason): entry.lose(reason)
        case .report(let what): entry.reportStranger(what)
        case .trouble(let what): entry.reportTrouble(what)
        }
    }

    private func delay(_ timer: SACMachine.Timer) -> Duration {
        switch timer {
        case .restart, .publish: .milliseconds(Int64.random(in: 250...500))
        // Behind a living holder seeds are superfluous, so there are fewer and fewer of them.
        case .seed: .milliseconds(Int64.random(in: 750...1250)) * (1 << min(machine.seedRound, 6))
        // From the queue's answer to its first delivery it takes no round trip at all, if we are the active consumer.
        case .answer: max(.milliseconds(25), joinedAt.duration(to: .now) * 4)
        case .limit: .seconds(2)
        }
    }

    // MARK: Holding

    private func grant(_ number: UInt64, _ nonce: Nonce) {
        proof = nil
        let proven = schedule.completed(nonce)
        if provesByQueue {
            let proof = ProofOfLife(until: proven ?? .now)
            guard proof.isAlive else {
                // Delivered too late for a grant: back in line.
                feed(.release)
                return entry.answer(.contended)
            }
            self.proof = proof
        }
        // No limit: the hold is renewed.
        entry.grant(fence(number), for: nil, ownProof: proof)
        if case .held = machine.state { scheduleRenewal() }
    }

    private func renewed(_ nonce: Nonce) {
        let proven = schedule.completed(nonce)
        // Too late by the clock is too late for good.
        if let proof, let proven, !proof.extend(to: proven) { return reachedLimit() }
        scheduleRenewal()
    }

    private var provesByQueue: Bool { core.settings.proof == .quorum }

    /// The broker takes a delivery back that is not acknowledged in time, without asking: a new one has to have come by
    /// then, or the lease ends before.
    private func scheduleRenewal() {
        cancelRenewal()
        let now = ContinuousClock.now
        let interval = provesByQueue ? core.heartbeat / 2 : core.settings.renewalInterval
        let due = core.loop.schedule(at: now.advanced(by: interval)) { [weak self] in self?.feed(.renewalDue) }
        let maximum = now.advanced(by: core.settings.maximumHold)
        let limit = core.loop.schedule(at: min(maximum, proof?.endsAt ?? maximum)) { [weak self] in
            self?.reachedLimit()
        }
        renewal = (due, limit)
    }

    private func cancelRenewal() {
        guard let renewal else { return }
        core.loop.cancel(renewal.due)
        core.loop.cancel(renewal.limit)
        self.renewal = nil
    }

    private func reachedLimit() {
        let obstacle = names.obstacle().map { ": \($0)" } ?? ""
        if let proof, !proof.isAlive {
            entry.lose(LossReason(.proofOverdue, LeaseRecord.queueIsSilent + obstacle))
        } else {
            entry.lose(LossReason(.holdLimit, "the hold could not be renewed at the broker\(obstacle)"))
        }
        feed(.release)
    }

    // MARK: Publishing

    private func seed() {
        let message: SACMessage
        do throws(LockError) {
            let number = try TokenNumber.seed(at: Date(), above: names.largest[entry.name]?.rawValue)
            message = SACMessage(isSeed: true, number: number, nonce: Nonce())
        } catch {
            entry.turnAway(error)
            return feed(.seeded)
        }
        isSeeding = true
        names.publish(entry.objects.queue, message) { [weak self] outcome in
            guard let self else { return }
            isSeeding = false
            switch outcome {
            case .arrived:
                feed(.seeded)
                consumeIfJoining()
            case .unknown, .unroutable:
                feed(.seeded)
                declareAgainIfJoining()
            case .refused(let code, let text): feed(.seedRefused(.init(code: code, text: text)))
            }
        }
    }

    private func publish(above number: UInt64) {
        let message: SACMessage
        do throws(LockError) {
            // A queue that was made anew may begin below what this process has seen of the name.
            let largest = max(number, names.largest[entry.name]?.rawValue ?? 0)
            let next = try TokenNumber.next(above: largest, at: Date())
            message = SACMessage(isSeed: false, number: next, nonce: Nonce())
        } catch {
            // A holder that cannot renew ends at the limit of its hold.
            return entry.turnAway(error)
        }
        feed(.publishing(message))
        let nonce = message.nonce
        schedule.sending(nonce, at: .now)
        names.publish(entry.objects.queue, message) { [weak self] outcome in
            switch outcome {
            case .arrived: self?.confirmed(nonce)
            case .unknown, .unroutable: self?.feed(.unconfirmed(nonce))
            case .refused(let code, let text): self?.feed(.publishRefused(nonce, .init(code: code, text: text)))
            }
        }
    }

    private func confirmed(_ nonce: Nonce) {
        // With a confirm that comes too late the token is as good as not confirmed: another has to be.
        let isLate = provesByQueue && schedule.isLate(nonce, at: .now)
        feed(isLate ? .unconfirmed(nonce) : .confirmed(nonce))
    }

    // MARK: Frames

    private func openChannel() {
        guard !channel.open(for: self, prefetch: Self.prefetch) else { return }
        feed(names.makeRoom() ? .channelUnavailable : .channelClosed(.outOfChannels))
    }

    private func join() {
        joinedAt = .now
        // Whoever is served publishes next: the time in line is for the second connection to come up.
        names.prepareToPublish()
        // Declared every time, though it is there: on a queue of another kind, made meanwhile, to consume would be to hold.
        declare()
        // RabbitMQ 3.10.8 answers a second declarer as soon as a quorum queue is recorded, with counts of 0, and ends the
        // whole connection when a consume comes before its process has started (541): all locks of this session. So at
        // first contact with a queue that shows nothing we consume when our seed has been confirmed, by that process.
        joining = channel.number
        if hasMadeContact || core.settings.durability == .fast { consumeIfJoining() }
    }

    private func declare() {
        let (queue, arguments) = (entry.objects.queue, QueueArguments.singleActiveConsumer(core.behaviour))
        channel.request { connection, channel throws(ConnectionFailure) in
            try connection.queueDeclare(channel, queue, durable: true, arguments: arguments.pairs)
        }
    }

    /// A publish that comes too early ends its connection in the same way, which costs no lock.
    private func declareAgainIfJoining() {
        guard let awaited = joining else { return }
        core.loop.schedule(at: .now.advanced(by: .milliseconds(Int64.random(in: 50...150)))) { [weak self] in
            guard let self, joining == awaited, !isSeeding else { return }
            declare()
        }
    }

    private func consumeIfJoining() {
        guard core.end == nil, let joining, joining == channel.number else { return }
        self.joining = nil
        hasMadeContact = true
        joinedAt = .now
        let queue = entry.objects.queue
        channel.request { connection, channel throws(ConnectionFailure) in
            try connection.basicConsume(channel, queue, tag: Self.tag)
        }
    }
}

extension Result {
    fileprivate var isFailure: Bool {
        if case .failure = self { true } else { false }
    }
}
