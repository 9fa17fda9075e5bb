import MQLock

/// First contact of a session with a name of the token mutex: afterwards there is a queue with one valid token, and a
/// register that names it. Also mends a lock whose token is gone.
///
/// A pure value: the broker's answers go in, the next step comes out. The article *The token mutex* describes the
/// steps.
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
        /// The valid token is gone, and the register has to be deleted; otherwise nobody could acquire the lock again.
        /// One contender at a time decides that.
        case mending(Mending)
    }

    enum Mending: Equatable, Sendable {
        case locking
        case findingRegister
        case findingQueue
        /// Checks that the register is still the one from the start of the wait: another register names another token
        /// †.
        case matchingRegister
        case deletingRegister
        /// Deletes the exclusive queue. The pause that follows keeps a queue of the same name from being declared
        /// within 100 ms of its deletion; a quorum queue could then leave the new token with a consumer of the old
        /// queue (RabbitMQ 3.10.8, 40 of 40).
        case unlocking
    }

    /// A request on the name's channel: the broker accepts, or closes the channel.
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
        /// The same request on another channel, because the broker has closed this one.
        case requestAnew(Request)
        /// Publishes a token with a fresh nonce.
        case seed
        case ready
        /// Something on the broker was changing: start over a little later.
        case pause
        case refuse(ChannelFault, doing: String)
        case trouble(String)
    }

    private(set) var step = Step.findingRegister
    /// The register's nonce of a token that nobody can hold any longer. The token has to be replaced, although its
    /// queue exists.
    private var healing: Nonce?
    /// Whether the mending queue may be ours. If so, it is deleted in any case.
    private(set) var mayHaveMend = false

    mutating func begin() -> Next {
        healing = nil
        return go(mayHaveMend ? .mending(.unlocking) : .findingRegister)
    }

    /// The token has been out for longer than any hold may last.
    /// - Parameter nonce: the register's nonce when the wait began.
    mutating func heal(_ nonce: Nonce) -> Next {
        healing = nonce
        return lockMend()
    }

    /// The broker accepted the request.
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
        // The queue exists after all: another contender has mended the lock.
        case .mending(.findingQueue), .mending(.deletingRegister): return go(.mending(.unlocking))
        case .mending(.unlocking): return unlocked()
        // An answer without a request: start over.
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
        // Another contender's token is the valid one; ours is stale, and the contender that receives it drops it.
        case (.claiming, ChannelFault.preconditionFailed) where fault.isOtherKind: return .ready
        case (.mending(.findingRegister), ChannelFault.notFound): return goAnew(.mending(.unlocking))
        // Another contender has mended the lock.
        case (.mending(.matchingRegister), ChannelFault.preconditionFailed) where fault.isOtherKind:
            return goAnew(.mending(.unlocking))
        case (.mending(.findingQueue), ChannelFault.notFound): return goAnew(.mending(.deletingRegister))
        // No request was sent: the queue may still be ours.
        case (.mending(.unlocking), ChannelFault.outOfChannels.code): return .pause
        // It belongs to another contender, or is gone.
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

    /// The request of the step.
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
