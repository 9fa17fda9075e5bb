import MQLock

/// One name of the token mutex within one session: what to say to the broker, and whom to grant.
///
/// A pure value: events in, actions out; no I/O, no clock, no randomness. It serves one contender at a time (local
/// arbitration sees to that) but may still be cleaning up after the last one. The protocol is described in the article *The
/// token mutex*.
struct TokenMachine: Sendable {
    /// Each case says where it can go.
    enum State: Equatable, Sendable {
        /// No channel. To `preparing`.
        case closed
        /// Finding out or making what there has to be on the broker. To `idle`, `getting`, `pausing`, `closed`.
        case preparing
        /// Waits a little before it begins again. To `preparing`, `closed`.
        case pausing
        /// Prepared, nobody contends. To `getting`.
        case idle
        /// Asked for the token once. Every contender begins so: where nobody else wants the lock, that is all it takes,
        /// in half the steps of the broker that a consumer needs. To `consuming`, `pinning`, `verifying`, `held`, `idle`.
        case getting
        /// In the broker's line, as the consumer with this tag. To `pinning`, `verifying`, `held`, `idle`.
        case consuming(tag: UInt64)
        /// A token is here, and our consumer on the register is being placed. To `verifying`, `idle`.
        case pinning(Token)
        /// The register is being asked whether the token is the valid one. To `held`, `pinning`, `consuming`, `getting`,
        /// `idle`.
        case verifying(Token)
        /// Granted. To `idle` by release, else to `closed`.
        case held(Token)
    }

    private(set) var state = State.closed
    /// The contender that is to be answered.
    private(set) var wanted: Wanted?
    private var preparation = Preparation()
    private var isChannelOpen = false
    /// Whether the queue was declared for this contender.
    private var hasLooked = false
    /// Our consumer on the register. It keeps the register from expiring, and the broker notifies us of its deletion.
    private var pin = Pin.none
    /// What the register answered while our consumer stood on it; forgotten with the consumer.
    private var validNonce: Nonce?
    private var consumers = Consumers()
    private var wait = Wait()
    private var lastVerification: UInt64 = 0
    private var lastIdentification: UInt64 = 0
    /// Why a hold is over when the broker cancels its consumer.
    private let cancelled: LossReason

    init(cancelled: LossReason = LossReason(.queueDeleted)) { self.cancelled = cancelled }

    /// Whether what there is on the broker is being found out or made.
    var isContacting: Bool { state == .preparing }

    /// Whether the name could be forgotten without anybody noticing.
    var isQuiet: Bool { wanted == nil && (state == .idle || state == .closed) }

    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .acquire: return begin(.acquire)
        case .tryAcquire: return begin(.tryAcquire)
        case .cancel: return cancel()
        case .release: return release()
        case .done: return state == .preparing ? follow(preparation.advance()) : []
        case .seeded(let nonce, let outcome): return seeded(nonce, outcome)
        case .verified(let number): return verified(number)
        case .refuted(let number): return refuted(number)
        case .verificationFailed(let number, let fault): return verificationFailed(number, fault)
        case .consumeConfirmed(.pin): return pinConfirmed()
        case .consumeConfirmed(.token(let tag)): return consumers.confirmed(tag)
        case .counted(let consumers): return counted(consumers)
        case .pinned(let consumers): return counted(pins: consumers)
        case .identified(let number, let register): return identified(number, register)
        case .delivered(let consumer, let delivery, let content): return delivered(consumer, delivery, content)
        case .gotNothing: return gotNothing()
        case .cancelledByBroker(let tag): return cancelledByBroker(tag)
        case .channelClosed(let fault): return channelClosed(fault)
        case .channelUnavailable:
            state = .closed
            forgetChannel()
            return wanted == nil && !preparation.mayHaveMend ? [] : pause()
        case .timer(.pause): return pauseOver()
        case .timer(.heal): return heal()
        case .timer(.look): return look()
        }
    }

    // MARK: The contender

    private mutating func begin(_ wanted: Wanted) -> [Action] {
        guard self.wanted == nil else { preconditionFailure("a second contender for one name in \(state)") }
        self.wanted = wanted
        switch state {
        case .closed: return prepare()
        case .idle:
            hasLooked = false
            return contend()
        // An answer is under way that the one before no longer wants: it serves this one.
        case .preparing, .pausing, .getting: return []
        case .held, .consuming, .verifying, .pinning: preconditionFailure("a contender for one name in \(state)")
        }
    }

    private mutating func contend() -> [Action] {
        state = .getting
        return openChannel() + placePin() + [.get]
    }

    private mutating func standInLine() -> [Action] {
        // What is still to be answered was asked in another wait.
        lastIdentification += 1
        let tag = consumers.add()
        state = .consuming(tag: tag)
        return [.count, .consume(tag)]
    }

    private mutating func cancel() -> [Action] {
        guard wanted != nil else { preconditionFailure("nobody to be cancelled in \(state)") }
        wanted = nil
        switch state {
        case .consuming(let tag):
            state = .idle
            return stopSuspecting + consumers.cancel(tag, putBack: nil)
        case .verifying(let token), .pinning(let token):
            state = .idle
            return putBack(token)
        // What is asked for comes back with nobody wanting it, and is dealt with then.
        case .closed, .preparing, .pausing, .getting, .idle: return []
        case .held: preconditionFailure("a wait is cancelled in \(state)")
        }
    }

    // MARK: Preparing

    private mutating func prepare() -> [Action] {
        state = .preparing
        return openChannel() + follow(preparation.begin())
    }

    private mutating func follow(_ next: Preparation.Next) -> [Action] {
        switch next {
        case .request(let request): return [.request(request)]
        case .requestAnew(let request): return openChannel() + [.request(request)]
        case .seed: return [.seed]
        case .ready:
            hasLooked = true
            guard wanted == nil else { return contend() }
            state = isChannelOpen ? .idle : .closed
            return []
        case .pause: return pause()
        case .refuse(let fault, let doing):
            state = .closed
            return refuse(fault, doing: doing) + (preparation.mayHaveMend ? pause() : [])
        case .trouble(let what): return [.trouble(what)] + pause()
        }
    }

    private mutating func seeded(_ nonce: Nonce, _ outcome: Outcome) -> [Action] {
        guard state == .preparing, preparation.step == .seeding else { return [] }
        switch outcome {
        case .arrived: return follow(preparation.seeded(nonce))
        case .unknown, .unroutable: return pause()
        case .refused(let fault): return dropChannel() + refuse(fault, doing: "publishing the lock's token")
        }
    }

    /// Starts again a little later: something on the broker was in motion.
    private mutating func pause() -> [Action] {
        state = .pausing
        return [.start(.pause)]
    }

    private mutating func pauseOver() -> [Action] {
        guard state == .pausing else { return [] }
        if wanted == nil, !preparation.mayHaveMend { return dropChannel() }
        return prepare()
    }

    /// The consumers before us, and one who may have fetched the token, hold it for a bounded time each. When that is over
    /// and nothing was delivered, the token that the register named all the while is gone.
    private mutating func counted(_ consumers: UInt32) -> [Action] {
        guard case .consuming = state else { return [] }
        wait = Wait(behind: consumers, suspect: validNonce)
        return [.start(.heal(behind: consumers))] + (consumers == 0 ? [.start(.look)] : [])
    }

    /// Whoever holds the lock, or has a token in hands, has a consumer on the register. A waiter that is first in line and
    /// finds its own alone there, twice, waits for a token that nobody can bring: a policy has dropped it, or a purge.
    private mutating func look() -> [Action] {
        guard case .consuming = state, pin == .placed else { return isInLine ? [.start(.look)] : [] }
        return [.countPins]
    }

    private mutating func counted(pins: UInt32) -> [Action] {
        guard case .consuming = state, pin == .placed, pins == 1 else {
            wait.isAlone = false
            return isInLine ? [.start(.look)] : []
        }
        if wait.isAlone, let suspect = wait.suspect {
            return mend(suspect, why: "the lock's token is gone, and nobody has it: a policy may drop messages")
        }
        wait.isAlone = true
        lastIdentification += 1
        return [.start(.look), .identify(lastIdentification)]
    }

    private var stopSuspecting: [Action] { [.stop(.heal), .stop(.look)] }

    private mutating func heal() -> [Action] {
        guard case .consuming = state else { return isInLine ? [.start(.heal(behind: wait.behind))] : [] }
        guard let suspect = wait.suspect else {
            // Somebody else may have mended meanwhile, and another token be out.
            lastIdentification += 1
            return [.identify(lastIdentification)]
        }
        return mend(suspect, why: "the lock's token is gone")
    }

    private mutating func identified(_ number: UInt64, _ register: Register) -> [Action] {
        guard isInLine, number == lastIdentification else { return [] }
        switch (register, state) {
        // No token is valid, so nobody has one.
        case (.missing, .consuming): return dropChannel() + pause()
        case (.says(let nonce), _): wait.suspect = nonce
        case (.missing, _), (.unknown, _): wait.suspect = nil
        }
        // Once more, for as long.
        return [.start(.heal(behind: wait.behind))]
    }

    /// Whether our consumer stands in the broker's line, and whoever wanted that is not answered; also while it is found
    /// out what was delivered, which may be nothing.
    private var isInLine: Bool {
        switch state {
        case .consuming: true
        case .pinning(let token), .verifying(let token): token.consumer != nil
        case .closed, .preparing, .pausing, .idle, .getting, .held: false
        }
    }

    static let unanswered = """
        the broker does not answer for the lock's queues; if that lasts, one of them has lost its leader: delete both
        """

    // MARK: Tokens

    private mutating func delivered(_ consumer: UInt64?, _ delivery: UInt64, _ content: Content) -> [Action] {
        switch state {
        case .consuming(let tag) where consumer == tag: return received(content, delivery, consumer: tag)
        case .getting where consumer == nil:
            if wanted != nil { return received(content, delivery, consumer: nil) }
            state = .idle
        case .held(let token) where consumer != nil && consumer == token.consumer:
            return deliveredToHolder(token, delivery, content)
        // One message at a time is ours to look at; a second can only be a duplicate, and can wait. Or it is for a consumer
        // that has been cancelled: nobody waits for it any more †.
        case .closed, .preparing, .pausing, .idle, .getting, .consuming, .pinning, .verifying, .held: break
        }
        return [.putBack(delivery)]
    }

    private mutating func received(_ content: Content, _ delivery: UInt64, consumer: UInt64?) -> [Action] {
        switch content {
        // It is not for us to take off, unless a look has just said that the queue is ours.
        case .otherKind where !hasLooked: return dropChannel() + pause()
        case .otherKind, .foreign: return drop(delivery, "a message that is no token of mqlock.v1")
        case .token(let message, let count, let isAbsurd):
            let token = Token(
                delivery: delivery, consumer: consumer, message: message, count: count, isAbsurd: isAbsurd)
            guard let validNonce else { return verify(token) }
            // The register's nonce never changes while our consumer stands on it.
            if message.nonce == validNonce { return valid(token) }
            return drop(delivery, "a token that the register does not name")
        }
    }

    /// Asks the register, but only with our consumer on it: what it answers then stands until that is cancelled. The
    /// other way round, a register deleted and made anew between answer and consumer would go unnoticed.
    private mutating func verify(_ token: Token) -> [Action] {
        guard pin == .placed else {
            state = .pinning(token)
            return placePin()
        }
        state = .verifying(token)
        lastVerification += 1
        return [.verify(lastVerification, token.message.nonce)]
    }

    private mutating func placePin() -> [Action] {
        guard pin == .none else { return [] }
        pin = .asked
        return [.placePin]
    }

    private mutating func pinConfirmed() -> [Action] {
        guard pin == .asked else { return [] }
        pin = .placed
        guard case .pinning(let token) = state else { return [] }
        return verify(token)
    }

    private func drop(_ delivery: UInt64, _ what: String) -> [Action] {
        [.acknowledge(delivery), .report(what)] + (state == .getting ? [.get] : [])
    }

    private mutating func verified(_ number: UInt64) -> [Action] {
        guard case .verifying(let token) = state, number == lastVerification else { return [] }
        guard pin == .placed else {
            state = .pinning(token)
            return placePin()
        }
        validNonce = token.message.nonce
        return valid(token)
    }

    /// The lock's token is here.
    private mutating func valid(_ token: Token) -> [Action] {
        guard token.isAbsurd else { return grant(token) }
        // From a host whose clock is wrong, or forged by somebody who can read the register: it is made anew.
        let mend = mend(token.message.nonce, why: "the lock's token was more than a day ahead of this machine's clock")
        return stopSuspecting + [.acknowledge(token.delivery)] + mend
    }

    private mutating func mend(_ nonce: Nonce, why: String) -> [Action] {
        let closed = dropChannel()
        state = .preparing
        return closed + [.trouble("\(why); it is made anew")] + follow(preparation.heal(nonce))
    }

    private mutating func refuted(_ number: UInt64) -> [Action] {
        guard case .verifying(let token) = state, number == lastVerification else { return [] }
        if let tag = token.consumer { state = .consuming(tag: tag) } else { state = .getting }
        return drop(token.delivery, "a token that the register does not name")
    }

    private mutating func verificationFailed(_ number: UInt64, _ fault: ChannelFault) -> [Action] {
        guard case .verifying(let token) = state, number == lastVerification else { return [] }
        state = .idle
        let back = putBack(token)
        if fault.code == ChannelFault.unanswered { return back + [.trouble(Self.unanswered)] + pause() }
        return back + refuse(fault, doing: "asking the lock's register")
    }

    private mutating func grant(_ token: Token) -> [Action] {
        guard wanted != nil else {
            state = .idle
            return putBack(token)
        }
        wanted = nil
        state = .held(token)
        return stopSuspecting + [.grant(token)]
    }

    private mutating func gotNothing() -> [Action] {
        guard state == .getting else { return [] }
        state = .idle
        switch wanted {
        case nil: return []
        case .acquire: return standInLine()
        case .tryAcquire:
            wanted = nil
            return [.contended]
        }
    }

    // MARK: The holder

    private mutating func release() -> [Action] {
        // Else the lease was lost before.
        guard case .held(let token) = state else { return [] }
        state = .idle
        return putBack(token)
    }

    private mutating func putBack(_ token: Token) -> [Action] {
        guard let tag = token.consumer else { return [.putBack(token.delivery)] }
        // It stands in line no more, granted or not.
        return stopSuspecting + consumers.cancel(tag, putBack: token.delivery)
    }

    private mutating func deliveredToHolder(_ token: Token, _ delivery: UInt64, _ content: Content) -> [Action] {
        if case .token(let message, _, _) = content, message.nonce == token.message.nonce {
            // The valid token comes a second time while the first delivery is ours: the broker has taken it back.
            return [.lose(LossReason(.channelClosed, "the broker delivered the token anew"))] + dropChannel()
        }
        return [.acknowledge(delivery), .report("a message in the queue beside the valid token")]
    }

    // MARK: Losing

    private mutating func cancelledByBroker(_ tag: Tag) -> [Action] {
        switch (tag, state) {
        case (.pin, .held):
            // From here on another token can become the valid one. The close puts ours back.
            return [.lose(LossReason(.queueDeleted, "the lock's register was deleted"))] + dropChannel()
        case (.pin, .pinning), (.pin, .verifying):
            // Whether the token outlives its register is for a fresh look to find out. The close puts it back.
            return dropChannel() + pause()
        case (.pin, _):
            forgetPin()
            return []
        // The queue is gone, and a delivery with it.
        case (.token(let gone), .consuming(let current)) where gone == current: return dropChannel() + pause()
        case (.token(let gone), .verifying(let token)) where gone == token.consumer,
            (.token(let gone), .pinning(let token)) where gone == token.consumer:
            return dropChannel() + pause()
        case (.token(let gone), .held(let token)) where gone == token.consumer:
            return [.lose(cancelled)] + dropChannel()
        case (.token, _): return []
        }
    }

    private mutating func channelClosed(_ fault: ChannelFault) -> [Action] {
        forgetChannel()
        let before = state
        state = .closed
        switch (before, fault.code) {
        case (.preparing, _):
            state = .preparing
            return follow(preparation.retreat(fault))
        case (.pausing, _):
            state = .pausing
            return []
        case (.closed, _), (.idle, _): return []
        case (.held, _): return [.lose(LossReason(.channelClosed, "\(fault.code) \(fault.text)"))]
        // The broker has put back whatever was delivered here.
        case (_, ChannelFault.unanswered): return stopSuspecting + [.trouble(Self.unanswered)] + pause()
        // It is gone, or another's by now: a fresh look will tell.
        case (_, ChannelFault.notFound), (_, ChannelFault.resourceLocked): return stopSuspecting + pause()
        // A token that was looked at for too long, as by a process that was stopped.
        case (_, _) where fault.isOverdue: return stopSuspecting + pause()
        case (.getting, _), (.consuming, _), (.pinning, _), (.verifying, _):
            return stopSuspecting + refuse(fault, doing: "consuming from the lock's queue")
        }
    }

    private mutating func refuse(_ fault: ChannelFault, doing: String) -> [Action] {
        guard wanted != nil else { return [] }
        wanted = nil
        return [.refuse(fault, doing: doing)]
    }

    private mutating func dropChannel() -> [Action] {
        state = .closed
        guard isChannelOpen else { return [] }
        forgetChannel()
        return [.closeChannel]
    }

    private mutating func openChannel() -> [Action] {
        guard !isChannelOpen else { return [] }
        isChannelOpen = true
        return [.openChannel]
    }

    private mutating func forgetChannel() {
        isChannelOpen = false
        forgetPin()
        consumers.forget()
    }

    private mutating func forgetPin() {
        validNonce = nil
        (wait.suspect, wait.isAlone) = (nil, false)
        pin = .none
    }
}
