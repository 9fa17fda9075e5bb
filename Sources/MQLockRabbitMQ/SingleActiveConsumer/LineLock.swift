import MQLock

/// The single active consumer mutex of one name, and the line of an exclusive queue: carries out the actions of its
/// line.
class LineLock: BrokerLock {
    private var line: Line
    private var channel: Channel?
    private var events: [Line.Event] = []
    private let lineTimers: Timers<Line.Timer>
    private var consumedAt = ContinuousClock.now
    /// The last token delivered that nobody had before: a seed for a queue without a token.
    private var lastSeed: Nonce?
    /// The hold's own proof, with `proof=quorum`.
    private var proof: ProofOfLife?
    /// When the companion that extends the proof next was sent.
    private var companionSent = ContinuousClock.now

    /// The caller that waits for the number to be raised, and above what.
    private var raising: (above: FencingToken, answer: (Result<FencingToken, LockError>) -> Void)?

    private static let tag = "line"

    override init(_ name: LockName, _ objects: ObjectNames, _ locks: Locks) {
        line = Line()
        lineTimers = Timers(locks.loop)
        super.init(name, objects, locks)
    }

    /// The queue of the line.
    var lineQueue: String { objects.queue }

    override var isQuietAtBroker: Bool { line.isQuiet }
    override var needsContact: Bool { !line.isKnown }
    override var needsPublish: Bool { line.needsPublish }

    /// Whether released locks may stay in a process; then contenders announce that they wait.
    var isSticky: Bool { settings.sticky > .zero }
    override var mayStay: Bool { isSticky && !line.isWanted }

    override func acquireAtBroker(waits: Bool) { feedLine(waits ? .acquire : .tryAcquire) }
    override func cancelAtBroker() { feedLine(.cancel) }
    override func releaseAtBroker() { feedLine(.release) }

    override func prepare(_ session: Session) {
        line = Line(
            provesByQueue: settings.proof == .quorum, cancelled: session.behavior.cancelled,
            sendsWants: isSticky)
    }

    override func resetAtBroker() {
        lineTimers.stopAll()
        (channel, events, proof) = (nil, [], nil)
    }

    // MARK: First in line

    /// First in line, with this fence.
    func served(_ fence: FencingToken) {
        if settings.proof == .quorum {
            guard let proof = ownProof(), proof.isAlive else { return backInLine() }
            self.proof = proof
        }
        grant(.success(fence), ownProof: proof)
    }

    /// The place is lost, and with it the hold.
    func placeLost(_ reason: LossReason) { lose(reason) }

    /// The contender is about to get an answer without being granted the lock.
    func lineAnswered() {}

    /// Proven too late for a grant.
    private func backInLine() {
        feedLine(.release)
        if contender?.waits == true { feedLine(.acquire) } else { contended() }
    }

    private func ownProof() -> ProofOfLife? {
        guard let session else { return nil }
        let end = companionSent.after(session.proofWindow)
        startTimer(.proof, at: end)
        return ProofOfLife(until: end)
    }

    /// The companion came back: the queue has served us since it was sent. Only the instant of sending counts.
    private func proven() {
        guard let proof, let session else { return }
        let end = companionSent.after(session.proofWindow)
        // A proof that has run out by the clock is not revived.
        if proof.extend(to: end) { startTimer(.proof, at: end) }
    }

    // MARK: Raising

    override func raise(
        above token: FencingToken, _ answer: @escaping (Result<FencingToken, LockError>) -> Void
    ) {
        guard raising == nil else {
            return answer(
                .failure(LockError(.alreadyRunning, "the number of the lock \(name) is being raised already")))
        }
        do throws(LockError) {
            // Readers must accept the number, even with one more return.
            _ = try TokenNumber.fence(try TokenNumber.seed(above: largestNumber(and: token)?.rawValue), returns: 1)
        } catch {
            return answer(.failure(error))
        }
        raising = (token, answer)
        feedLine(.raise)
    }

    override func cancelRaising(_ error: LockError) {
        guard let raising else { return }
        self.raising = nil
        raising.answer(.failure(error))
    }

    private func raised(_ fence: FencingToken) {
        guard let raising, fence > raising.above else { return }
        self.raising = nil
        raising.answer(.success(fence))
    }

    /// The largest number to exceed.
    private func largestNumber(and token: FencingToken? = nil) -> FencingToken? {
        [line.place?.token.fence, locks.memory.largest[name], token].compactMap(\.self).max()
    }

    override var channels: [Channel?] { [channel] }
    override var quorumQueues: [String] { [lineQueue] }

    // MARK: The line

    final func feedLine(_ event: Line.Event) {
        events.append(event)
        // Events caused by an action are handled after all the actions of the current event.
        guard events.count == 1 else { return }
        while let event = events.first {
            for action in line.handle(event) { perform(action) }
            if !events.isEmpty { events.removeFirst() }
        }
        if line.wanted == nil { lineTimers.stop(.limit) }
        if !line.isContacting { locks.contactEnded(self) }
    }

    private func perform(_ action: Line.Action) {
        switch action {
        case .openChannel: openChannel()
        case .declare: channel?.declareBound(lineQueue, QueueArguments.line(behavior))
        case .consume:
            consumedAt = .now
            channel?.consumeUntilDeleted(lineQueue, tag: Self.tag, behavior)
        case .closeChannel:
            channel?.close()
            channelEnded()
        case .publish(let publication): publish(publication)
        case .repair: session?.link.open(for: Repair())?.declareBound(lineQueue, QueueArguments.line(behavior))
        case .acknowledge(let delivery): channel?.acknowledge(delivery)
        case .putBack(let delivery):
            companionSent = .now
            channel?.putBack(delivery)
        case .start(let timer): startTimer(timer, at: .now.after(delay(timer)))
        case .stop(let timer): lineTimers.stop(timer)
        case .serve(let fence):
            if lastSeed != nil, line.place?.token.nonce == lastSeed { tokenMadeAnew() }
            served(fence)
        case .wanted: endStay()
        case .proven: proven()
        case .raised(let fence): raised(fence)
        case .contended:
            lineAnswered()
            contended()
        case .unable:
            lineAnswered()
            unable()
        case .refuse(let fault, let doing):
            lineAnswered()
            fail(refusal(fault, doing: doing))
        case .refuseAbsurd(let number, let count):
            lineAnswered()
            if case .failure(let error) = fence(number, count) { fail(error) }
        case .lose(let reason): placeLost(withObstacle(reason))
        case .report(let what): reportForeign(what)
        case .trouble(let what): reportTrouble(what)
        }
    }

    private func openChannel() {
        channel = openContendersChannel()
        guard channel == nil else { return }
        feedLine(awaitsChannel ? .channelUnavailable : .channelClosed(.outOfChannels))
    }

    /// The attempt's timers end with its channel; the limit of a try belongs to the contender.
    private func channelEnded() {
        channel = nil
        for timer in Line.Timer.allCases where timer != .limit { lineTimers.stop(timer) }
    }

    final var behavior: BrokerBehavior { session?.behavior ?? BrokerBehavior(BrokerVersion(announced: nil)) }

    private func withObstacle(_ reason: LossReason) -> LossReason {
        guard reason.kind == .holdLimit || reason.kind == .proofOverdue, let obstacle = session?.publishing.obstacle
        else {
            return reason
        }
        return LossReason(reason.kind, "\(reason.detail): \(obstacle)")
    }

    // MARK: Timers

    private func startTimer(_ timer: Line.Timer, at deadline: ContinuousClock.Instant) {
        lineTimers.start(timer, at: deadline) { [weak self] in
            guard let self else { return }
            // A slow broker is no obstacle. Then the time for a session and its answers limits the try.
            if timer == .limit, line.needsPublish, session?.publishing.obstacle == nil {
                return startTimer(.limit, at: .now.after(delay(.limit)))
            }
            feedLine(.timer(timer))
        }
    }

    static let pause = GrowingDelay(.milliseconds(500) ... .seconds(32))
    static let declarePause = GrowingDelay(.milliseconds(150) ... .milliseconds(2400))
    static let seedPause = GrowingDelay(.milliseconds(1250) ... .seconds(80))

    private func delay(_ timer: Line.Timer) -> Duration {
        switch timer {
        case .restart: Self.pause.delay(before: 1)
        case .declare: Self.declarePause.delay(before: line.failures + 1)
        // Behind a living holder seeds are unnecessary, so the pauses grow.
        case .seed: Self.seedPause.delay(before: line.seedRound + 1)
        // Most waits are shorter, and need not be announced. A try has no time to lose.
        case .want: line.wanted == .tryAcquire ? .milliseconds(3) : .milliseconds(20)
        // If we are the active consumer, the first delivery follows the queue's answer without a round trip.
        case .answer: max(.milliseconds(25), consumedAt.duration(to: .now) * 4)
        case .limit: .seconds(2)
        case .preparing: settings.requestTimeout
        case .exchange: settings.renewalInterval
        case .hold: settings.maximumHold
        case .companion: max(.zero, (session?.heartbeat ?? .zero) / 2 - companionSent.duration(to: .now))
        case .retry where line.isAboutToPrepare: .zero
        case .retry: Self.pause.delay(before: line.failures + 1)
        case .proof: preconditionFailure("what the queue proves ends at a fixed instant")
        }
    }

    // MARK: Messages

    override func received(_ inbound: Inbound, on channel: Channel) {
        guard channel === self.channel else { return }
        switch inbound {
        case .queueDeclareOK(_, _, let messages, let consumers):
            feedLine(.declared(messages: messages, consumers: consumers))
        case .queueBindOK: feedLine(.bound)
        case .consumeOK: feedLine(.consuming)
        case .delivery(_, let delivery):
            feedLine(.delivered(delivery.deliveryTag, redelivered: delivery.redelivered, content(delivery)))
        case .cancelledByBroker: feedLine(.cancelledByBroker)
        case .channelClosed(_, let code, let text, _, _):
            channelEnded()
            let fault = ChannelFault(code: code, text: text)
            learn(from: fault)
            feedLine(.channelClosed(fault))
        default: break
        }
    }

    private func content(_ delivery: Delivery) -> Line.Content {
        guard let text = MessageText(delivery) else { return .foreign }
        guard let message = LineMessage(text) else { return .otherKind }
        let count = BrokerBehavior.returns(of: delivery.properties)
        switch message.kind {
        case .companion: return .companion(message.nonce, count: count)
        case .want: return .want
        case .token:
            guard case .success(let fence) = fence(message.number, count) else {
                return .absurd(number: message.number, count: count)
            }
            if count == 0, message.after == 0 { lastSeed = message.nonce }
            return .token(message.nonce, fence: fence, wear(count), after: message.after)
        }
    }

    private func fence(_ number: UInt64, _ count: Int64) -> Result<FencingToken, LockError> {
        Result { () throws(LockError) in try TokenNumber.fence(number, returns: count) }
    }

    private func wear(_ count: Int64) -> Line.Wear {
        if count < settings.wear.exchange { return .fresh }
        // While nothing can be published, there is nothing to wait for.
        return count < settings.wear.wait || session?.publishing.obstacle != nil ? .worn : .wornOut
    }

    private func publish(_ publication: Line.Publication) {
        let nonce = Nonce()
        let message: LineMessage
        switch publication {
        case .companion:
            message = .companion(nonce)
            companionSent = .now
        case .want: message = .want(nonce)
        case .seed, .exchange:
            do throws(LockError) {
                // A queue that was created again may start below what this process has seen for the name.
                let largest = largestNumber(and: publication == .exchange ? raising?.above : nil)
                let number = try TokenNumber.seed(above: largest?.rawValue)
                let after = publication == .exchange ? line.place?.fence.rawValue : nil
                message = .token(number, nonce, after: after ?? 0)
            } catch {
                // A holder that cannot renew loses the lock at the limit of its hold.
                turnAway(error)
                return feedLine(.outcome(publication, nonce, .unknown))
            }
        }
        feedLine(.publishing(publication, nonce))
        // Nothing depends on a want, so its fate is nobody's trouble.
        if publication == .want {
            session?.publisher.publish(message, to: lineQueue) { [weak self, weak session] outcome in
                if let self, self.session === session { feedLine(.outcome(.want, nonce, outcome)) }
            }
            return
        }
        publish(message, to: lineQueue) { [weak self] in self?.feedLine(.outcome(publication, nonce, $0)) }
    }
}

/// Declares our exchange and a queue's binding again, on a separate channel: a refusal there costs no lock.
private final class Repair: ChannelHandler {
    func received(_ inbound: Inbound, on channel: Channel) {
        if case .queueBindOK = inbound { channel.close() }
    }
}

extension Channel {
    /// Declares our exchange and a queue, and binds the queue, in one write.
    func declareBound(_ queue: String, _ arguments: QueueArguments) {
        declareExchange()
        declare(queue, durable: true, arguments.pairs)
        bind(queue)
    }

    func declareExchange() {
        request(.exchangeDeclared) { connection, channel throws(ConnectionFailure) in
            try connection.exchangeDeclare(channel, ObjectNames.exchange, type: "direct", durable: true)
        }
    }

    /// Binds a queue to our exchange.
    func bind(_ queue: String) {
        request(.bound) { connection, channel throws(ConnectionFailure) in
            try connection.queueBind(channel, queue, exchange: ObjectNames.exchange, routingKey: queue)
        }
    }
}
