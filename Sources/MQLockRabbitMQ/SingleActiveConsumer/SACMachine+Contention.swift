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
            return candidate.own == nil ? [.publish(above: candidate.kept.number)] : []
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
        let token = Token(delivery: delivery, number: message.number)
        guard case .candidate(var candidate) = state else {
            // Only the active consumer is delivered anything: we are it.
            state = .candidate(Candidate(kept: token, own: nil))
            let early: [Action] = mutant == .keepsNothing ? [.acknowledge(delivery)] : []
            return early + [.publish(above: message.number)]
        }
        if candidate.own?.nonce == message.nonce {
            // A token of ours that comes a second time: in between we were not the active consumer †.
            if redelivered, mutant != .grantsRedelivered { return restart() }
            candidate.own?.delivery = delivery
            state = .candidate(candidate)
            return settle()
        }
        let acknowledged = candidate.compare(token, mutant)
        state = .candidate(candidate)
        return acknowledged + settle()
    }

    /// Grants when our own token is in the queue, came to us, and is strictly larger than every other †; publishes a
    /// larger one when it has been reached.
    private mutating func settle() -> [Action] {
        guard case .candidate(var candidate) = state, let own = candidate.own else { return [] }
        let least = mutant == .grantsOnTie ? candidate.kept.number : candidate.kept.number + 1
        guard own.number >= least else { return outdo(&candidate) }
        guard let token = own.settled, let wanted else { return [] }
        self.wanted = nil
        timers = [:]
        state = .held(Hold(token: token))
        let rest: [Action] = mutant == .keepsNothing ? [] : [.acknowledge(candidate.kept.delivery)]
        return rest + [.grant(wanted.attempt, number: token.number, own.nonce)]
    }

    private mutating func outdo(_ candidate: inout Candidate) -> [Action] {
        let acknowledged = candidate.disown(mutant)
        state = .candidate(candidate)
        return acknowledged + [.publish(above: candidate.kept.number)]
    }

    private mutating func publishing(_ message: SACMessage) -> [Action] {
        let publication = Publication(nonce: message.nonce, number: message.number)
        switch state {
        case .candidate(var candidate):
            candidate.own = publication
            state = .candidate(candidate)
        case .held(var hold):
            hold.renewal = publication
            state = .held(hold)
        case .closed, .pausing, .waiting: break
        }
        return []
    }

    private mutating func confirmed(_ nonce: Nonce) -> [Action] {
        switch state {
        case .candidate(var candidate) where candidate.own?.nonce == nonce:
            candidate.own?.isConfirmed = true
            state = .candidate(candidate)
            return settle()
        case .held(var hold) where hold.renewal?.nonce == nonce:
            hold.renewal?.isConfirmed = true
            return settleRenewal(hold)
        default: return []
        }
    }

    private mutating func unconfirmed(_ nonce: Nonce) -> [Action] {
        switch state {
        case .candidate(var candidate) where candidate.own?.nonce == nonce:
            let acknowledged = candidate.disown(mutant)
            state = .candidate(candidate)
            return acknowledged + [start(.publish)]
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

extension SACMachine.Candidate {
    /// Keeps the larger of this token and the kept one, and acknowledges the other; of equals too, or the prefetch
    /// would fill up with them and never let our own token in †.
    fileprivate mutating func compare(_ token: SACMachine.Token, _ mutant: SACMachine.Mutant?) -> [SACMachine.Action] {
        if token.number == kept.number, mutant == .keepsTies { return [] }
        guard token.number > kept.number else { return [.acknowledge(token.delivery)] }
        let smaller = kept
        kept = token
        return mutant == .keepsNothing ? [.acknowledge(token.delivery)] : [.acknowledge(smaller.delivery)]
    }

    /// Our token is no longer the one that counts: if it is here, it is one among the others.
    fileprivate mutating func disown(_ mutant: SACMachine.Mutant?) -> [SACMachine.Action] {
        guard let own else { return [] }
        self.own = nil
        guard let delivery = own.delivery else { return [] }
        return compare(.init(delivery: delivery, number: own.number), mutant)
    }
}
