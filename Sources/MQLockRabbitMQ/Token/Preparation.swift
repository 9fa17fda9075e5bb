import MQLock

/// First contact of a session with a name of the token mutex: there has to be a queue with one valid token, and a register
/// that names it. Also mends a lock whose token is gone.
///
/// A pure value: what the broker said goes in, the next step comes out. The steps are those of the article *The token
/// mutex*.
struct Preparation: Equatable, Sendable {
    /// Each case says where it can go.
    enum Step: Equatable, Sendable {
        /// To `findingQueue`, `declaringQueue`.
        case findingRegister
        /// To `matchingQueue`, `mending`.
        case findingQueue
        /// Checks that the existing queue is declared as we would declare it. To the end.
        case matchingQueue
        /// To `seeding`.
        case declaringQueue
        /// To `claiming`.
        case seeding
        /// To the end.
        case claiming
        /// The valid token is gone, and the register has to go, or the lock would be lost for good; one contender at a time
        /// decides that.
        case mending(Mending)
    }

    enum Mending: Equatable, Sendable {
        case locking
        case findingRegister
        case findingQueue
        /// Whether the register is still the one that was there when the wait began: another one names another token †.
        case matchingRegister
        case deletingRegister
        /// Gives the exclusive queue back; the pause that follows keeps a queue of the same name from being declared
        /// within 100 ms of its deletion, which on a quorum queue can leave the new token with a consumer of the old
        /// (RabbitMQ 3.10.8, 40 of 40).
        case unlocking
    }

    /// A request on the name's channel: the broker says yes, or closes the channel.
    enum Request: Equatable, Sendable {
        case findRegister
        case findQueue
        /// With its binding to our exchange.
        case declareQueue
        /// Declares the register with this nonce.
        case claimRegister(Nonce)
        case lockMend
        case deleteRegister
        case unlockMend
    }

    enum Next: Equatable, Sendable {
        case request(Request)
        /// The same, on another channel: the broker has closed this one.
        case requestAnew(Request)
        /// Publishes a token with a fresh nonce.
        case seed
        case ready
        /// Something on the broker was in motion: begins again a little later.
        case pause
        case refuse(ChannelFault, doing: String)
        case trouble(String)
    }

    private(set) var step = Step.findingRegister
    /// What the register says of a token that nobody can hold any more: it is to be replaced, though its queue is there.
    private var healing: Nonce?
    /// Whether the mending queue may be ours. Whoever may have it gives it back, wanted or not.
    private(set) var mayHaveMend = false

    mutating func begin() -> Next {
        healing = nil
        return go(mayHaveMend ? .mending(.unlocking) : .findingRegister)
    }

    /// The token has been out for longer than anybody may hold it.
    /// - Parameter nonce: what the register said when that began.
    mutating func heal(_ nonce: Nonce) -> Next {
        healing = nonce
        return lockMend()
    }

    /// The broker said yes.
    mutating func advance() -> Next {
        switch step {
        case .findingRegister: return go(.findingQueue)
        case .findingQueue: return go(.matchingQueue)
        case .declaringQueue:
            step = .seeding
            return .seed
        case .matchingQueue, .claiming: return .ready
        case .mending(.locking): return go(.mending(.findingRegister))
        case .mending(.findingRegister): return go(.mending(healing == nil ? .findingQueue : .matchingRegister))
        case .mending(.matchingRegister): return go(.mending(.deletingRegister))
        // The queue exists after all: somebody else has mended.
        case .mending(.findingQueue), .mending(.deletingRegister): return go(.mending(.unlocking))
        case .mending(.unlocking): return unlocked()
        // An answer to nothing: begins again.
        case .seeding: return .pause
        }
    }

    /// The seed with this nonce is in the queue.
    mutating func seeded(_ nonce: Nonce) -> Next {
        step = .claiming
        return .request(.claimRegister(nonce))
    }

    /// The broker closed the channel.
    mutating func retreat(_ fault: ChannelFault) -> Next {
        switch (step, fault.code) {
        case (_, ChannelFault.unanswered): return .trouble(TokenMachine.unanswered)
        case (.findingRegister, ChannelFault.notFound): return goAnew(.declaringQueue)
        case (.findingQueue, ChannelFault.notFound): return lockMend()
        // Somebody else's token is the valid one; ours is stale and will be dropped by whoever receives it.
        case (.claiming, ChannelFault.preconditionFailed) where fault.isOtherKind: return .ready
        case (.mending(.findingRegister), ChannelFault.notFound): return goAnew(.mending(.unlocking))
        // Somebody else has mended.
        case (.mending(.matchingRegister), ChannelFault.preconditionFailed) where fault.isOtherKind:
            return goAnew(.mending(.unlocking))
        case (.mending(.findingQueue), ChannelFault.notFound): return goAnew(.mending(.deletingRegister))
        // Nothing was asked: it may still be ours.
        case (.mending(.unlocking), ChannelFault.outOfChannels.code): return .pause
        // It is somebody else's, or gone.
        case (.mending(.locking), ChannelFault.resourceLocked), (.mending(.unlocking), _): return unlocked()
        case (.matchingQueue, ChannelFault.notFound), (.declaringQueue, ChannelFault.notFound),
            (.claiming, ChannelFault.notFound), (.seeding, _):
            return .pause
        case (.findingRegister, _), (.findingQueue, _), (.matchingQueue, _), (.declaringQueue, _), (.claiming, _),
            (.mending, _):
            return .refuse(fault, doing: words)
        }
    }

    private mutating func lockMend() -> Next {
        mayHaveMend = true
        return goAnew(.mending(.locking))
    }

    private mutating func unlocked() -> Next {
        mayHaveMend = false
        return .pause
    }

    private mutating func go(_ step: Step) -> Next {
        self.step = step
        return .request(request)
    }

    private mutating func goAnew(_ step: Step) -> Next {
        self.step = step
        return .requestAnew(request)
    }

    /// What the step asks.
    private var request: Request {
        switch step {
        case .findingRegister, .mending(.findingRegister): .findRegister
        case .findingQueue, .mending(.findingQueue): .findQueue
        case .matchingQueue, .declaringQueue: .declareQueue
        case .mending(.locking): .lockMend
        case .mending(.matchingRegister): .claimRegister(healing ?? Nonce())
        case .mending(.deletingRegister): .deleteRegister
        case .mending(.unlocking): .unlockMend
        case .seeding, .claiming: preconditionFailure("\(step) is no request")
        }
    }

    private var words: String {
        switch step {
        case .findingRegister, .mending(.findingRegister): "looking for the lock's register"
        case .findingQueue, .mending(.findingQueue): "looking for the lock's queue"
        case .matchingQueue, .declaringQueue: "declaring the lock's queue"
        case .seeding, .claiming: "declaring the lock's register"
        case .mending: "mending the lock, whose token is gone"
        }
    }
}
