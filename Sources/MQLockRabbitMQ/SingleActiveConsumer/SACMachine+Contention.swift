import MQLock

/// Standing in line, becoming the candidate, being granted.
extension SACMachine {
    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .acquire(let attempt): return want(Wanted(attempt: attempt, waits: true))
        case .tryAcquire(let attempt): return want(Wanted(attempt: attempt, waits: false))
        case .abandon(let attempt): return abandon(attempt)
        case .release:
            guard case .held = state else { return [] }
            return leave()
        case .declared(let messages, let consumers):
            // Nobody is there and nothing is: made just now, or purged. If a holder has just died, one seed too many.
            guard isContacting, messages == 0, consumers == 0 else { return [] }
            return seed()
        case .consuming: return consuming()
        case .delivered(let delivery, let redelivered, let content):
            return delivered(delivery, redelivered, content)
        case .publishing(let message): return publishing(message)
        case .confirmed(let nonce): return confirmed(nonce)
        case .unconfirmed(let nonce): return unconfirmed(nonce)
        case .publishRefused(let nonce, let fault):
            guard case .candidate(let candidate) = state, candidate.own?.nonce == nonce else {
                return unconfirmed(nonce)
            }
            return leave() + refuse(fault, doing: "publishing a token")
        case .seeded: return seeded()
        case .seedRefused(let fault):
            isSeeding = false
            guard case .waiting = state else { return [] }
            return leave() + refuse(fault, doing: "publishing a token")
        case .renewalDue: return renewalDue()
        case .cancelledByBroker: return cancelledByBroker()
        case .channelClosed(let fault): return channelClosed(fault)
        case .channelUnavailable: return pause()
        case .timer(let timer, let number):
            guard timers[timer] == number else { return [] }
            timers[timer] = nil
            return elapsed(timer)
        }
    }

    // MARK: The contender

    private mutating func want(_ wanted: Wanted) -> [Action] {
        precondition(self.wanted == nil, "a second contender for one name in \(state)")
        var actions: [Action] = []
        switch state {
        case .closed: break
        // The lease has run out by the local clock, its holder has left the line, and nobody has told us yet.
        case .held: actions = leave()
        case .pausing, .waiting, .candidate: preconditionFailure("a contender for one name in \(state)")
        }
        self.wanted = wanted
        seedRound = 0
        if !wanted.waits { actions.append(start(.limit)) }
        return actions + join()
    }

    private mutating func join() -> [Action] {
        state = .waiting(isConfirmed: false)
        return [.openChannel, .join]
    }

    private mutating func abandon(_ attempt: Attempt) -> [Action] {
        guard wanted?.attempt == attempt else { return [] }
        wanted = nil
        return leave()
    }

    /// Gives the place in line up, with whatever has been delivered.
    ///
    /// Never by basic.cancel first: that makes the next consumer the active one while the largest number is still with
    /// us, and it would be granted a smaller one †.
    mutating func leave() -> [Action] {
        let hasChannel = state != .closed && state != .pausing
        state = .closed
        timers = [:]
        return hasChannel ? [.closeChannel] : []
    }

    private mutating func consuming() -> [Action] {
        guard isContacting, let wanted else { return [] }
        state = .waiting(isConfirmed: true)
        if wanted.waits { return [start(.seed)] }
        return isSeeding ? [] : [start(.answer)]
    }

    private mutating func seed() -> [Action] {
        guard !isSeeding else { return [] }
        isSeeding = true
        return [.seed]
    }

    private mutating func seeded() -> [Action] {
        isSeeding = false
        guard state == .waiting(isConfirmed: true), wanted?.waits == false else { return [] }
        return [start(.answer)]
    }

    private mutating func elapsed(_ timer: Timer) -> [Action] {
        switch (timer, state) {
        case (.restart, .pausing): return wanted == nil ? leave() : join()
        case (.seed, .waiting):
            seedRound += 1
            return seed() + [start(.seed)]
        case (.answer, .waiting), (.limit, .waiting), (.limit, .candidate), (.limit, .pausing):
            guard let wanted, !wanted.waits else { return [] }
            self.wanted = nil
            return leave() + [.contended(wanted.attempt)]
        case (.publish, .candidate(let candidate)):
            return follow(candidate.retry)
        case (.publish, .held): return renewalDue()
        default: return []
        }
    }

    // MARK: Tokens

    private mutating func delivered(_ delivery: UInt64, _ redelivered: Bool, _ content: Content) -> [Action] {
        switch state {
        case .held(let hold): return deliveredToHolder(hold, delivery, redelivered, content)
        case .closed, .pausing: return []
        case .waiting, .candidate: break
        }
        guard case .token(let message, let isFarAhead) = content else {
            return [.acknowledge(delivery), .report("a message that is no token of mqlock.v1")]
        }
        if isFarAhead { return leave() + failFarAhead(message.number) }
        let token = Token(delivery: delivery, number: message.number, nonce: message.nonce)
        guard case .candidate(var candidate) = state else {
            // Only the active consumer is delivered anything: we are it.
            let candidate = Candidate(token, mutant: mutant?.ofCandidate)
            state = .candidate(candidate)
            return follow(candidate.firstSteps)
        }
        let steps = candidate.received(token, redelivered: redelivered)
        state = .candidate(candidate)
        return follow(steps)
    }

    private mutating func follow(_ steps: [Candidate.Step]) -> [Action] {
        steps.flatMap { step -> [Action] in
            switch step {
            case .acknowledge(let delivery): [.acknowledge(delivery)]
            case .publish(let number): [.publish(above: number)]
            case .displaced: restart()
            case .won(let token): grant(token)
            }
        }
    }

    private mutating func grant(_ token: Token) -> [Action] {
        guard let wanted else { preconditionFailure("a candidate whom nobody wants") }
        self.wanted = nil
        timers = [:]
        state = .held(Hold(token: token))
        return [.grant(wanted.attempt, number: token.number, token.nonce)]
    }

    private mutating func publishing(_ message: SACMessage) -> [Action] {
        switch state {
        case .candidate(var candidate):
            candidate.published(message.number, message.nonce)
            state = .candidate(candidate)
        case .held(var hold):
            hold.renewal = Publication(nonce: message.nonce, number: message.number)
            state = .held(hold)
        case .closed, .pausing, .waiting: break
        }
        return []
    }

    private mutating func confirmed(_ nonce: Nonce) -> [Action] {
        switch state {
        case .candidate(var candidate):
            let steps = candidate.confirmed(nonce)
            state = .candidate(candidate)
            return follow(steps)
        case .held(var hold) where hold.renewal?.nonce == nonce:
            hold.renewal?.isConfirmed = true
            return settleRenewal(hold)
        default: return []
        }
    }

    private mutating func unconfirmed(_ nonce: Nonce) -> [Action] {
        switch state {
        case .candidate(var candidate):
            guard let steps = candidate.unconfirmed(nonce) else { return [] }
            state = .candidate(candidate)
            return follow(steps) + [start(.publish)]
        case .held(let hold) where hold.renewal?.nonce == nonce: return giveUpRenewal(hold)
        default: return []
        }
    }

    // MARK: Endings

    private mutating func cancelledByBroker() -> [Action] {
        guard case .held = state else {
            // The queue is gone, and what was delivered with it.
            return restart()
        }
        return [.lose(cancelled)] + leave()
    }

    private mutating func channelClosed(_ fault: ChannelFault) -> [Action] {
        let before = state
        state = .closed
        switch before {
        case .closed: return []
        case .pausing:
            state = .pausing
            return []
        case .held:
            timers = [:]
            return [.lose(LossReason(.channelClosed, "\(fault.code) \(fault.text)"))]
        case .waiting, .candidate: break
        }
        if fault.code == ChannelFault.unanswered {
            return [.trouble("the broker does not answer for the lock's queue; if that lasts, delete it")] + pause()
        }
        // What the broker closes later than at the joining (its acknowledgement timeout for one), a new channel may mend.
        if before == .waiting(isConfirmed: false), fault.code != ChannelFault.notFound {
            return refuse(fault, doing: "consuming from the lock's queue")
        }
        return pause()
    }

    private mutating func refuse(_ fault: ChannelFault, doing: String) -> [Action] {
        guard let wanted else { return [] }
        self.wanted = nil
        timers = [:]
        return [.fail(wanted.attempt, fault, doing: doing)]
    }

    private mutating func failFarAhead(_ number: UInt64) -> [Action] {
        guard let wanted else { return [] }
        self.wanted = nil
        return [.failFarAhead(wanted.attempt, number: number)]
    }

    /// Back to the end of the line, on a new channel, a little later.
    private mutating func restart() -> [Action] {
        guard state != .closed, state != .pausing else { return [] }
        return [.closeChannel] + pause()
    }

    private mutating func pause() -> [Action] {
        state = .pausing
        // The limit of a try stays: it is the contender's, not the channel's.
        timers = timers.filter { $0.key == .limit }
        return [start(.restart)]
    }

    mutating func start(_ timer: Timer) -> Action {
        lastTimer += 1
        timers[timer] = lastTimer
        return .start(timer, lastTimer)
    }
}
