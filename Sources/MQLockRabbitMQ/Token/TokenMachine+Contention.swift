import MQLock

/// Contending, holding, releasing, losing.
extension TokenMachine {
    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .acquire(let attempt): return want(Wanted(attempt: attempt, waits: true))
        case .tryAcquire(let attempt): return want(Wanted(attempt: attempt, waits: false))
        case .abandon(let attempt): return abandon(attempt)
        case .release, .holdLimitReached: return release()
        case .done:
            if case .minting(let token, .deletingRegister) = state { return registerDeleted(token) }
            guard case .preparing(let step) = state else { return [] }
            return advance(step)
        case .seeded(let nonce):
            guard state == .preparing(.seeding) else { return [] }
            return claim(nonce)
        case .seedFailed:
            guard state == .preparing(.seeding) else { return [] }
            return pause()
        case .seedRefused(let fault):
            guard state == .preparing(.seeding) else { return [] }
            return dropChannel() + refuse(fault, doing: "publishing the lock's token")
        case .pauseOver(let number):
            guard state == .preparing(.pausing(number)) else { return [] }
            if mayHaveMend { return unlockMend() }
            return wanted == nil ? dropChannel() : prepare()
        case .verified(let number): return verified(number)
        case .refuted(let number): return refuted(number)
        case .verificationFailed(let number, let fault): return verificationFailed(number, fault)
        case .consumeConfirmed(.pin): return pinConfirmed()
        case .consumeConfirmed(.token(let tag)): return consumerConfirmed(tag)
        case .delivered(let consumer, let delivery, let isRedelivered, let content):
            return delivered(consumer, Arrival(delivery, isRedelivered), content)
        case .minted(let number, let nonce): return minted(number, nonce)
        case .mintFailed(let number): return mintFailed(number)
        case .mintRefused(let number, let fault): return mintFailed(number, fault)
        case .gotNothing: return gotNothing()
        case .cancelledByBroker(let tag): return cancelledByBroker(tag)
        case .channelClosed(let fault): return channelClosed(fault)
        case .channelUnavailable:
            state = .closed
            forgetChannel()
            return wanted == nil ? [] : pause()
        }
    }

    // MARK: The contender

    private mutating func want(_ wanted: Wanted) -> [Action] {
        precondition(self.wanted == nil, "a second contender for one name in \(state)")
        self.wanted = wanted
        switch state {
        case .closed: return prepare()
        case .idle: return contend(wanted)
        // An answer is under way that the one before no longer wants: it serves this one.
        case .preparing, .getting, .minting: return []
        case .held(let token):
            // The lease has run out by the local clock, its holder has left the line, and nobody has told us yet.
            state = .idle
            return giveBack(token) + contend(wanted)
        case .consuming, .verifying, .pinning: preconditionFailure("a contender for one name in \(state)")
        }
    }

    mutating func contend(_ wanted: Wanted) -> [Action] {
        state = .getting
        return openChannel() + placePin() + [.get]
    }

    private mutating func standInLine() -> [Action] {
        lastTag += 1
        unconfirmed.insert(lastTag)
        state = .consuming(tag: lastTag)
        return [.consume(lastTag)]
    }

    private mutating func abandon(_ attempt: Attempt) -> [Action] {
        guard wanted?.attempt == attempt else { return [] }
        wanted = nil
        switch state {
        case .consuming(let tag):
            state = .idle
            return cancel(tag, nil)
        case .verifying(let token), .pinning(let token):
            state = .idle
            return giveBack(token)
        // What is asked for comes back with nobody wanting it, and is dealt with then.
        case .closed, .preparing, .getting, .idle, .held, .minting: return []
        }
    }

    // MARK: Tokens

    /// A delivery, as far as it has to be known to give it back.
    struct Arrival: Equatable, Sendable {
        let delivery: UInt64
        let isRedelivered: Bool

        init(_ delivery: UInt64, _ isRedelivered: Bool) {
            (self.delivery, self.isRedelivered) = (delivery, isRedelivered)
        }
    }

    private mutating func delivered(_ consumer: UInt64?, _ arrival: Arrival, _ content: Content) -> [Action] {
        switch state {
        case .consuming(let tag) where consumer == tag:
            return received(content, arrival, consumer: tag)
        case .getting where consumer == nil:
            if wanted != nil { return received(content, arrival, consumer: nil) }
            state = .idle
        case .held(let token) where consumer != nil && consumer == token.consumerTag:
            return deliveredToHolder(token, arrival.delivery, content)
        case .verifying(let token), .pinning(let token), .minting(let token, _):
            // One message at a time is ours to look at; a second can only be a duplicate, and can wait.
            if consumer != nil, consumer == token.consumerTag { return [putBack(arrival)] }
        default: break
        }
        // For a consumer that has been cancelled: nobody waits for it any more.
        return mutantKeepsLateDeliveries ? [] : [putBack(arrival)]
    }

    /// Gives a delivery back for the next to have.
    ///
    /// On a classic queue through its dead-letter loop, where the broker counts it; but not what came redelivered: the
    /// mark has to stay on it until it is minted anew.
    private func putBack(_ arrival: Arrival) -> Action {
        let keepsMark = arrival.isRedelivered && mutant != .hidesRedelivery
        return durability == .fast && !keepsMark ? .handOn(arrival.delivery) : .putBack(arrival.delivery)
    }

    private mutating func received(_ content: Content, _ arrival: Arrival, consumer: UInt64?) -> [Action] {
        let delivery = arrival.delivery
        guard case .token(let message, let count) = content else {
            return drop(delivery, "a message that is no token of mqlock.v1")
        }
        let token = Token(
            deliveryTag: delivery, consumerTag: consumer, message: message, count: count,
            isRedelivered: arrival.isRedelivered)
        // Asked afresh, whatever is cached †.
        if mustBeMinted(token) { return mutant == .mintsUnverified ? mint(token) : verify(token) }
        if let validNonce {
            // The register's nonce never changes while our consumer stands on it.
            if message.nonce == validNonce { return grant(token) }
            return drop(delivery, "a token that the register does not name")
        }
        return verify(token)
    }

    /// Asks the register, but only with our consumer on it: what it answers then stands until that is cancelled. The
    /// other way round, a register deleted and made anew between answer and consumer would go unnoticed.
    private mutating func verify(_ token: Token) -> [Action] {
        // While somebody mints anew there is no register to consume from. The question makes it, and is asked again.
        guard pin == .placed || durability == .fast && pin == .none else {
            state = .pinning(token)
            return placePin()
        }
        state = .verifying(token)
        lastVerification += 1
        return [.verify(lastVerification, token.message.nonce)]
    }

    mutating func placePin() -> [Action] {
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

    private mutating func drop(_ delivery: UInt64, _ what: String) -> [Action] {
        var actions: [Action] = [.acknowledge(delivery), .report(what)]
        if state == .getting { actions.append(.get) }
        return actions
    }

    private mutating func verified(_ number: UInt64) -> [Action] {
        if isClaimingMint(number) { return mintSettled() }
        guard case .verifying(let token) = state, number == lastVerification else { return [] }
        if mustBeMinted(token) { return mint(token) }
        guard pin == .placed else {
            state = .pinning(token)
            return placePin()
        }
        validNonce = token.message.nonce
        return grant(token)
    }

    private mutating func refuted(_ number: UInt64) -> [Action] {
        // Somebody has seeded meanwhile: the old token is no more valid than ours.
        if isClaimingMint(number) { return mintSettled() }
        guard case .verifying(let token) = state, number == lastVerification else { return [] }
        if let tag = token.consumerTag { state = .consuming(tag: tag) } else { state = .getting }
        return drop(token.deliveryTag, "a token that the register does not name")
    }

    private mutating func verificationFailed(_ number: UInt64, _ fault: ChannelFault) -> [Action] {
        if isClaimingMint(number) { return mintFailed(lastMint) }
        guard case .verifying(let token) = state, number == lastVerification else { return [] }
        state = .idle
        let back = giveBack(token)
        if fault.code == ChannelFault.unanswered { return back + [.trouble(Self.unanswered)] + pause() }
        return back + refuse(fault, doing: "asking the lock's register")
    }

    private mutating func grant(_ token: Token) -> [Action] {
        guard let wanted else {
            state = .idle
            return giveBack(token)
        }
        self.wanted = nil
        state = .held(token)
        return [.grant(wanted.attempt, token)]
    }

    private mutating func gotNothing() -> [Action] {
        guard state == .getting else { return [] }
        state = .idle
        guard let wanted else { return [] }
        guard !wanted.waits else { return standInLine() }
        self.wanted = nil
        return [.contended(wanted.attempt)]
    }

    // MARK: The holder

    private mutating func release() -> [Action] {
        guard case .held(let token) = state else { return [] }
        state = .idle
        return giveBack(token)
    }

    private mutating func giveBack(_ token: Token) -> [Action] {
        let back = putBack(Arrival(token.deliveryTag, token.isRedelivered))
        guard let tag = token.consumerTag else { return [back] }
        return cancel(tag, back)
    }

    /// Cancels a consumer, then puts its delivery back: the other way round it would be served the token again.
    ///
    /// Only a consumer that the broker has confirmed may be cancelled: a cancel that overtakes the confirmation of its
    /// consume kills the channel's process on the broker, and with it the connection (541, seen on 3.10.8: the
    /// confirmation comes from the quorum queue as a message of its own and finds no consumer).
    mutating func cancel(_ tag: UInt64, _ back: Action?) -> [Action] {
        guard !unconfirmed.contains(tag) else {
            deferred[tag] = .some(back)
            return []
        }
        return [.cancel(tag)] + (back.map { [$0] } ?? [])
    }

    private mutating func consumerConfirmed(_ tag: UInt64) -> [Action] {
        unconfirmed.remove(tag)
        guard let back = deferred.removeValue(forKey: tag) else { return [] }
        return cancel(tag, back)
    }

    private mutating func deliveredToHolder(_ token: Token, _ delivery: UInt64, _ content: Content) -> [Action] {
        if case .token(let message, _) = content, message.nonce == token.message.nonce {
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
        case (.token(let cancelled), .consuming(let current)) where cancelled == current:
            return pause()
        case (.token(let cancelled), .verifying(let token)) where cancelled == token.consumerTag,
            (.token(let cancelled), .pinning(let token)) where cancelled == token.consumerTag:
            // The queue is gone and the delivery with it.
            return pause()
        case (.token(let cancelled), .minting(let token, _)) where cancelled == token.consumerTag:
            return dropChannel() + pause()
        case (.token(let tag), .held(let token)) where tag == token.consumerTag:
            return [.lose(cancelled)] + dropChannel()
        case (.token, _): return []
        }
    }

    private mutating func channelClosed(_ fault: ChannelFault) -> [Action] {
        forgetChannel()
        switch state {
        case .preparing(let step): return retreat(step, fault)
        case .closed, .idle:
            state = .closed
            return []
        case .held:
            state = .closed
            return [.lose(LossReason(.channelClosed, "\(fault.code) \(fault.text)"))]
        case .consuming, .getting, .verifying, .pinning, .minting:
            // The broker has put back whatever was delivered here.
            state = .closed
            switch fault.code {
            case ChannelFault.notFound: return pause()
            case ChannelFault.unanswered: return [.trouble(Self.unanswered)] + pause()
            default: return refuse(fault, doing: "consuming from the lock's queue")
            }
        }
    }

    mutating func refuse(_ fault: ChannelFault, doing: String) -> [Action] {
        guard let wanted else { return [] }
        self.wanted = nil
        return [.fail(wanted.attempt, fault, doing: doing)]
    }

    mutating func dropChannel() -> [Action] {
        state = .closed
        guard isChannelOpen else { return [] }
        forgetChannel()
        return [.closeChannel]
    }

    mutating func openChannel() -> [Action] {
        guard !isChannelOpen else { return [] }
        isChannelOpen = true
        return [.openChannel]
    }

    private mutating func forgetChannel() {
        isChannelOpen = false
        forgetPin()
        unconfirmed = []
        deferred = [:]
    }

    mutating func forgetPin() {
        validNonce = nil
        pin = .none
    }
}
