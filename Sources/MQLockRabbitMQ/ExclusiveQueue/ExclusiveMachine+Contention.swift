import MQLock

/// Standing in line, taking the queue, being granted.
extension ExclusiveMachine {
    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .acquire(let attempt): return want(Wanted(attempt: attempt, waits: true))
        case .tryAcquire(let attempt): return want(Wanted(attempt: attempt, waits: false))
        case .abandon(let attempt):
            guard wanted?.attempt == attempt else { return [] }
            wanted = nil
            return leave()
        case .release:
            guard state == .held else { return [] }
            return leave()
        case .lineDeclared(let messages, let consumers):
            // Nobody is there and nothing is: made just now, or purged. If a holder has just died, one seed too many.
            guard state == .waiting(isConfirmed: false), messages == 0, consumers == 0 else { return [] }
            isNew = true
            return seed(.line)
        case .standing: return standing()
        case .lineDelivered(let delivery, let isTurn): return lineDelivered(delivery, isTurn)
        case .claimed: return claimed()
        case .watching:
            isWatching = true
            return letWin()
        case .registerDeclared(let messages, let consumers):
            guard isRegistering, messages == 0, consumers == 0 else { return [] }
            return seed(.register)
        case .reading:
            guard isRegistering, candidate == nil else { return [] }
            seedRound = 0
            return [start(.seed)]
        case .registerDelivered(let delivery, let redelivered, let content):
            return registerDelivered(delivery, redelivered, content)
        case .publishing(let message):
            candidate?.published(message.number, message.nonce)
            return []
        case .confirmed(let nonce): return follow(candidate?.confirmed(nonce))
        case .unconfirmed(let nonce):
            guard let steps = candidate?.unconfirmed(nonce) else { return [] }
            return follow(steps) + [start(.publish)]
        case .publishRefused(let nonce, let fault):
            guard candidate?.own?.nonce == nonce else { return [] }
            return refuse(fault, doing: "publishing a fencing token")
        case .seeded(let what): return seeded(what)
        case .seedRefused(let what, let fault):
            seeding.remove(what)
            switch (what, state) {
            case (.line, .waiting), (.register, .claiming), (.register, .registering):
                return refuse(fault, doing: "publishing a first message")
            default: return []
            }
        case .exists:
            guard state == .asking(.whether) else { return [] }
            state = .asking(.which)
            return [.askWhich]
        case .deleted:
            guard case .leaving(.deleting) = state else { return [] }
            return left()
        case .renewalDue:
            guard state == .held, let turn else { return [] }
            self.turn = nil
            return [.renewTurn(turn)]
        case .cancelledByBroker(let consumer): return cancelledByBroker(consumer)
        case .channelClosed(let channel, let fault): return channelClosed(channel, fault)
        case .channelUnavailable(let channel): return channelUnavailable(channel)
        case .timer(let timer, let number):
            guard timers[timer] == number else { return [] }
            timers[timer] = nil
            return elapsed(timer)
        }
    }

    // MARK: The line

    private mutating func want(_ wanted: Wanted) -> [Action] {
        precondition(self.wanted == nil, "a second contender for one name in \(state)")
        // The lease has run out by the local clock, its holder has left the line, and nobody has told us yet.
        var actions = state == .held ? leave() : []
        self.wanted = wanted
        mindsTrouble = false
        if !wanted.waits { actions.append(start(.limit)) }
        switch state {
        case .closed: return actions + join()
        case .leaving:
            // To declare a queue that is ours is to be told that it is ours: its deletion has to come first †.
            return mutant == .ignoresOwnDeletion ? actions + closeAll() + join() : actions
        default: preconditionFailure("a contender for one name in \(state)")
        }
    }

    mutating func join() -> [Action] {
        state = .waiting(isConfirmed: false)
        open = [.line]
        isNew = false
        seedRound = 0
        refusals = 0
        return [.join]
    }

    private mutating func standing() -> [Action] {
        guard state == .waiting(isConfirmed: false), let wanted else { return [] }
        state = .waiting(isConfirmed: true)
        if wanted.waits { return [start(.seed)] }
        return seeding.contains(.line) ? [] : [start(.answer)]
    }

    private mutating func seed(_ what: Seeded) -> [Action] {
        seeding.insert(what).inserted ? [.seed(what)] : []
    }

    private mutating func seeded(_ what: Seeded) -> [Action] {
        seeding.remove(what)
        guard what == .line, state == .waiting(isConfirmed: true), wanted?.waits == false else { return [] }
        return [start(.answer)]
    }

    private mutating func lineDelivered(_ delivery: UInt64, _ isTurn: Bool) -> [Action] {
        guard open.contains(.line) else { return [] }
        guard isTurn else { return [.acknowledge(.line, delivery), .report("a message that is no turn of mqlock.v1")] }
        // One makes us the first as well as several do.
        guard turn == nil else { return [.acknowledge(.line, delivery)] }
        turn = delivery
        guard case .waiting = state else { return [] }
        return claim()
    }

    private mutating func elapsed(_ timer: Timer) -> [Action] {
        switch (timer, state) {
        case (.restart, .pausing): return left()
        case (.seed, .waiting):
            seedRound += 1
            return seed(.line) + [start(.seed)]
        case (.seed, .claiming), (.seed, .registering):
            guard candidate == nil else { return [] }
            seedRound += 1
            return seed(.register) + [start(.seed)]
        case (.claim, .refused): return claim()
        case (.answer, .waiting): return contended()
        case (.limit, _): return contended()
        case (.publish, _): return follow(candidate?.retry)
        case (.delete, .leaving(.pausing)): return delete()
        default: return []
        }
    }

    private mutating func contended() -> [Action] {
        guard let wanted, !wanted.waits else { return [] }
        self.wanted = nil
        return leave() + [.contended(wanted.attempt)]
    }

    // MARK: The queue

    private mutating func claim() -> [Action] {
        state = .claiming
        timers[.seed] = nil
        timers[.answer] = nil
        isWatching = false
        open.formUnion([.claim, .register])
        return [.claim]
    }

    private mutating func claimed() -> [Action] {
        switch state {
        case .claiming:
            state = .registering
            return close(.claim) + [.watch] + (mutant == .grantsUnwatched ? letWin() : [])
        case .leaving(.claiming): return delete()
        default: return []
        }
    }

    /// Refused: either it is held, or its name is in use for something else. The answer to a declaration is the same, but
    /// only the exclusive queue of another connection may not be looked at.
    mutating func ask() -> [Action] {
        state = .asking(.whether)
        open.insert(.question)
        return closeRegister() + [.ask]
    }

    /// Somebody has it who is not before us in the line: a holder whose connection has just gone, and the broker is on its
    /// way to its queues; one that lost its place; or a stranger.
    mutating func taken() -> [Action] {
        guard wanted?.waits == true else { return contended() }
        return claimLater()
    }

    mutating func claimLater() -> [Action] {
        state = .refused
        refusals += 1
        // Not after a crash, of which the broker makes an end within milliseconds.
        let trouble: [Action] = refusals == 6 ? [.trouble(Self.ownedByStranger)] : []
        return closeRegister() + trouble + [start(.claim)]
    }

    private static let ownedByStranger = """
        this is the first in line, and the lock's queue belongs to a connection that stands in no line: another program's, \
        or a holder's whose broker node is cut off
        """

    // MARK: The register

    private mutating func registerDelivered(
        _ delivery: UInt64, _ redelivered: Bool, _ content: Content
    ) -> [Action] {
        guard isRegistering else { return [] }
        guard case .number(let message, let isFarAhead) = content else {
            return [.acknowledge(.register, delivery), .report("a message that is no number of mqlock.v1")]
        }
        if isFarAhead {
            guard let wanted else { return [] }
            self.wanted = nil
            return leave() + [.failFarAhead(wanted.attempt, number: message.number)]
        }
        let token = Candidate.Token(delivery: delivery, number: message.number, nonce: message.nonce)
        guard candidate == nil else {
            return follow(candidate?.received(token, redelivered: redelivered))
        }
        timers[.seed] = nil
        candidate = Candidate(token, mayWin: isWatching, mutant: mutant?.ofCandidate)
        return follow(candidate?.firstSteps)
    }

    /// The queue is ours: what is missing now is the number.
    private mutating func letWin() -> [Action] {
        state == .registering ? follow(candidate?.letWin()) : []
    }

    private mutating func follow(_ steps: [Candidate.Step]?) -> [Action] {
        (steps ?? []).flatMap { step -> [Action] in
            switch step {
            case .acknowledge(let delivery): [.acknowledge(.register, delivery)]
            case .publish(let number): [.publish(above: number)]
            case .displaced: restart()
            case .won(let token): grant(token.number)
            }
        }
    }

    private mutating func grant(_ number: UInt64) -> [Action] {
        guard let wanted else { preconditionFailure("a grant that nobody wants") }
        self.wanted = nil
        timers = [:]
        state = .held
        var actions = closeRegister()
        if mutant == .consumesTurn, let turn { actions.append(.acknowledge(.line, turn)) }
        return actions + [.grant(wanted.attempt, number: number)]
    }

    mutating func start(_ timer: Timer) -> Action {
        lastTimer += 1
        timers[timer] = lastTimer
        return .start(timer, lastTimer)
    }
}
