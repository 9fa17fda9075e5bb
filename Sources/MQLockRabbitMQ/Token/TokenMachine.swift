import MQLock

/// One name of the token mutex within one session: decides what to send to the broker, and when to grant.
///
/// A pure value: events in, actions out; no I/O, no clock, no randomness. It serves one contender at a time (local
/// arbitration ensures that), but may still be cleaning up after the previous one. The protocol is described in the
/// article *The token mutex*.
struct TokenMachine: Sendable {
    /// Each case says where it can go.
    enum State: Equatable, Sendable {
        /// No channel. To `preparing`.
        case closed
        /// Finding or creating the objects on the broker. To `idle`, `getting`, `pausing`, `closed`.
        case preparing
        /// Waits a little before it starts over. To `preparing`, `closed`.
        case pausing
        /// Prepared, without a contender. To `getting`.
        case idle
        /// Has sent one `basic.get` for the token. Every contender starts this way: without contention nothing else is
        /// needed, and it costs half the broker's steps of a consumer. To `consuming`, `pinning`, `verifying`, `held`,
        /// `idle`.
        case getting
        /// In the broker's line as the consumer with this tag. To `pinning`, `verifying`, `held`, `idle`.
        case consuming(tag: UInt64)
        /// A token is here, and our consumer on the register is being placed. To `verifying`, `idle`.
        case pinning(Token)
        /// The register is being asked whether the token is the valid one. To `held`, `pinning`, `consuming`, `getting`,
        /// `idle`.
        case verifying(Token)
        /// Granted. To `idle` by release, otherwise to `closed`.
        case held(Token)
    }

    private(set) var state = State.closed
    /// The contender that waits for an answer.
    private(set) var wanted: Wanted?
    private var preparation = Preparation()
    private var isChannelOpen = false
    /// Whether the queue was declared for this contender.
    private var hasLooked = false
    /// Our consumer on the register. It keeps the register from expiring, and the broker notifies us of its deletion.
    private var pin = Pin.none
    /// What the register answered while our consumer was on it; forgotten with the consumer.
    private var validNonce: Nonce?
    private var consumers = Consumers()
    private var wait = Wait()
    private var lastVerification: UInt64 = 0
    private var lastIdentification: UInt64 = 0
    /// Why a hold is over when the broker cancels its consumer.
    private let cancelled: LossReason

    init(cancelled: LossReason = LossReason(.queueDeleted)) { self.cancelled = cancelled }

    /// Whether the objects on the broker are being found or created.
    var isContacting: Bool { state == .preparing }

    /// Whether the name can be forgotten without an effect.
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
        // An answer for the previous contender is still under way: it serves this one.
        case .preparing, .pausing, .getting: return []
        case .held, .consuming, .verifying, .pinning: preconditionFailure("a contender for one name in \(state)")
        }
    }

    private mutating func contend() -> [Action] {
        state = .getting
        return openChannel() + placePin() + [.get]
    }

    private mutating func standInLine() -> [Action] {
        // Outstanding answers belong to another wait.
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
        // The answer comes without a contender, and is handled then.
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

    /// Starts over a little later: something on the broker was changing.
    private mutating func pause() -> [Action] {
        state = .pausing
        return [.start(.pause)]
    }

    private mutating func pauseOver() -> [Action] {
        guard state == .pausing else { return [] }
        if wanted == nil, !preparation.mayHaveMend { return dropChannel() }
        return prepare()
    }

    /// The consumers ahead of us, and one contender that may have fetched the token, hold it for a bounded time each.
    /// When that time is over without a delivery, the token that the register named all the while is gone.
    private mutating func counted(_ consumers: UInt32) -> [Action] {
        guard case .consuming = state else { return [] }
        wait = Wait(behind: consumers, suspect: validNonce)
        return [.start(.heal(behind: consumers))] + (consumers == 0 ? [.start(.look)] : [])
    }

    /// Every contender that holds the lock or has a token has a consumer on the register. If a waiter is first in line
    /// and twice finds only its own consumer there, nobody can return the token: a policy or a purge has dropped it.
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
            // Another contender may have mended the lock meanwhile, and a new token may be out.
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
        // Again, for the same time.
        return [.start(.heal(behind: wait.behind))]
    }

    /// Whether our consumer is in the broker's line and its contender has no answer yet; also while a delivery is being
    /// checked, which may turn out to be invalid.
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
        // We check one message at a time; a second can only be a duplicate, and can wait. Or it is for a cancelled
        // consumer, for which nobody waits any longer †.
        case .closed, .preparing, .pausing, .idle, .getting, .consuming, .pinning, .verifying, .held: break
        }
        return [.putBack(delivery)]
    }

    private mutating func received(_ content: Content, _ delivery: UInt64, consumer: UInt64?) -> [Action] {
        switch content {
        // It is not ours to remove, unless a declaration has just shown that the queue is ours.
        case .otherKind where !hasLooked: return dropChannel() + pause()
        case .otherKind, .foreign: return drop(delivery, "a message that is no token of mqlock.v1")
        case .token(let message, let count, let isAbsurd):
            let token = Token(
                delivery: delivery, consumer: consumer, message: message, count: count, isAbsurd: isAbsurd)
            guard let validNonce else { return verify(token) }
            // The register's nonce never changes while our consumer is on it.
            if message.nonce == validNonce { return valid(token) }
            return drop(delivery, "a token that the register does not name")
        }
    }

    /// Asks the register, but only with our consumer on it: then the answer is valid until that consumer is cancelled.
    /// In the other order, a register deleted and created again between answer and consumer would go unnoticed.
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
        // From a host with a wrong clock, or forged by a user who can read the register: the lock is created again.
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
        // Otherwise the lease was lost before.
        guard case .held(let token) = state else { return [] }
        state = .idle
        return putBack(token)
    }

    private mutating func putBack(_ token: Token) -> [Action] {
        guard let tag = token.consumer else { return [.putBack(token.delivery)] }
        // The consumer is no longer in line, granted or not.
        return stopSuspecting + consumers.cancel(tag, putBack: token.delivery)
    }

    private mutating func deliveredToHolder(_ token: Token, _ delivery: UInt64, _ content: Content) -> [Action] {
        if case .token(let message, _, _) = content, message.nonce == token.message.nonce {
            // The valid token comes again while the first delivery is ours: the broker has taken it back.
            return [.lose(LossReason(.channelClosed, "the broker delivered the token anew"))] + dropChannel()
        }
        return [.acknowledge(delivery), .report("a message in the queue beside the valid token")]
    }

    // MARK: Losing

    private mutating func cancelledByBroker(_ tag: Tag) -> [Action] {
        switch (tag, state) {
        case (.pin, .held):
            // From here on another token can become the valid one. Closing returns ours.
            return [.lose(LossReason(.queueDeleted, "the lock's register was deleted"))] + dropChannel()
        case (.pin, .pinning), (.pin, .verifying):
            // The next preparation finds out whether the token outlives its register. Closing returns the token.
            return dropChannel() + pause()
        case (.pin, _):
            forgetPin()
            return []
        // The queue is gone, and the delivery with it.
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
        // The broker has returned whatever was delivered here.
        case (_, ChannelFault.unanswered): return stopSuspecting + [.trouble(Self.unanswered)] + pause()
        // It is gone, or belongs to another contender by now: the next preparation finds out.
        case (_, ChannelFault.notFound), (_, ChannelFault.resourceLocked): return stopSuspecting + pause()
        // A token that was checked for too long, for example by a process that was stopped.
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
