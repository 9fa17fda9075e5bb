import MQLock

/// The exclusive queue mutex of one name: its line decides who is next and with which fence; the queue is the lock.
final class ExclusiveLock: LineLock {
    private var claim = Claim()
    private var claimChannel: Channel?
    private var claimEvents: [Claim.Event] = []
    private let claimTimers: Timers<Claim.Timer>

    private static let tag = "queue"

    override init(_ name: LockName, _ objects: ObjectNames, _ locks: Locks) {
        claimTimers = Timers(locks.loop)
        super.init(name, objects, locks)
    }

    override var lineQueue: String { objects.line }
    override var isSticky: Bool { false }

    override var isQuietAtBroker: Bool { super.isQuietAtBroker && claim.isQuiet }

    override var channels: [Channel?] { super.channels + [claimChannel] }
    override var isReleasingAtBroker: Bool { claim.isReleasing }

    override func acquireAtBroker(waits: Bool) { feedClaim(waits ? .acquire : .tryAcquire) }
    override func cancelAtBroker() { feedClaim(.cancel) }
    override func releaseAtBroker() { feedClaim(.release) }

    override func resetAtBroker() {
        super.resetAtBroker()
        claimTimers.stopAll()
        (claim, claimChannel, claimEvents) = (Claim(), nil, [])
    }

    // MARK: The line

    override func served(_ fence: FencingToken) { feedClaim(.first(fence)) }

    override func placeLost(_ reason: LossReason) { feedClaim(.placeLost) }

    override func lineAnswered() { feedClaim(.answered) }

    // MARK: The claim

    private func feedClaim(_ event: Claim.Event) {
        claimEvents.append(event)
        // Events caused by an action are handled after all the actions of the current event.
        guard claimEvents.count == 1 else { return }
        while let event = claimEvents.first {
            for action in claim.handle(event) { perform(action) }
            if !claimEvents.isEmpty { claimEvents.removeFirst() }
        }
        if !isReleasingAtBroker { locks.holdEnded() }
    }

    private func perform(_ action: Claim.Action) {
        switch action {
        case .joinLine(let wanted): feedLine(wanted == .acquire ? .acquire : .tryAcquire)
        case .cancelLine: feedLine(.cancel)
        case .leaveLine: feedLine(.release)
        case .claim:
            guard openChannel() else { return }
            claimChannel?.declare(objects.queue, exclusive: true, QueueArguments.exclusive.pairs)
            claimChannel?.consume(objects.queue, tag: Self.tag, noAck: true)
        case .ask: if openChannel() { claimChannel?.declare(objects.queue, passive: true) }
        case .askWhich: claimChannel?.declare(objects.queue, durable: true, QueueArguments.whichKind(behavior).pairs)
        case .delete: if claimChannel != nil || openChannel() { claimChannel?.delete(objects.queue) }
        case .closeChannel:
            claimTimers.stopAll()
            claimChannel?.close()
            claimChannel = nil
        case .start(let timer):
            claimTimers.start(timer, after: delay(timer)) { [weak self] in self?.feedClaim(.timer(timer)) }
        case .grant(let fence): grant(.success(fence))
        case .contended: contended()
        case .refuse(let fault, let doing): fail(refusal(fault, doing: doing))
        case .lose(let reason): lose(reason)
        case .trouble(let what): reportTrouble(what)
        case .endSession:
            session?.link.fail(
                ConnectionFailure(.timedOut("the broker left a request for an exclusive queue unanswered")))
        }
    }

    private func openChannel() -> Bool {
        claimChannel = session?.link.open(for: self)
        if claimChannel != nil { return true }
        locks.freeChannels()
        feedClaim(session?.link.isClosingChannels == true ? .channelUnavailable : .channelClosed(.outOfChannels))
        return false
    }

    private func delay(_ timer: Claim.Timer) -> Duration {
        switch timer {
        case .claim: Claim.pause(after: claim.refusals)
        case .delete: .milliseconds(50)
        }
    }

    override func received(_ inbound: Inbound, on channel: Channel) {
        guard channel === claimChannel else { return super.received(inbound, on: channel) }
        switch inbound {
        case .queueDeclareOK: feedClaim(claim.state == .asking(.whether) ? .exists : .declared)
        case .consumeOK: feedClaim(.watching)
        case .queueDeleteOK: feedClaim(.deleted)
        case .cancelledByBroker: feedClaim(.cancelledByBroker)
        case .channelClosed(_, let code, let text, _, _):
            claimChannel = nil
            feedClaim(.channelClosed(.init(code: code, text: text)))
        // Nobody publishes to the lock's own queue; its consumer acknowledges nothing.
        case .delivery: reportForeign("a message in an exclusive queue of mqlock.v1")
        default: break
        }
    }
}

extension Claim {
    /// A dead holder's queue disappears some milliseconds after its place in line. Every refusal is an error in the
    /// broker's log, so the longer it lasts, the less often we ask: 10 ms, 30 ms, up to 8 s.
    /// - Parameter random: 750 to 1250, in thousandths of the pause.
    static func pause(after refusals: Int, random: Int64 = .random(in: 750...1250)) -> Duration {
        .microseconds(pauses[min(max(refusals, 1), pauses.count) - 1] * random)
    }

    /// In milliseconds.
    static let pauses: [Int64] = [10, 30, 90, 270, 810, 2430, 7290, 8000]
}
