/// First contact: there has to be a queue with one valid token, and a register that names it.
extension TokenMachine {
    /// The step under way. Where each goes on is in `advance` (the broker said yes) and `retreat` (it closed the
    /// channel).
    enum Preparation: Equatable, Sendable {
        case findingRegister
        case findingQueue
        /// Checks that the existing queue is declared as we would declare it.
        case matchingQueue
        case declaringQueue
        case seeding
        case claiming
        /// The register is there and the queue is not: somebody deleted the queue, and the valid token with it. The
        /// register has to go, or the lock would be lost for ever; one contender at a time decides that.
        case mending(Mending)
        /// Waits a little before it starts again.
        case pausing(UInt64)
    }

    enum Mending: Equatable, Sendable {
        case locking
        case findingRegister
        case findingQueue
        case deletingRegister
        /// Gives the exclusive queue back; the pause that follows keeps a queue of the same name from being declared
        /// within 100 ms of its deletion, which on a quorum queue can leave the new token with a consumer of the old
        /// (RabbitMQ 3.10.8, 40 of 40).
        case unlocking
    }

    mutating func prepare() -> [Action] {
        state = .preparing(.findingRegister)
        return openChannel() + [.request(.findRegister)]
    }

    /// The broker said yes.
    mutating func advance(_ step: Preparation) -> [Action] {
        switch step {
        case .findingRegister: go(.findingQueue, .findQueue)
        case .findingQueue: go(.matchingQueue, .declareQueue)
        case .declaringQueue: seed()
        case .matchingQueue, .claiming: proceed()
        case .mending(.locking): go(.mending(.findingRegister), .findRegister)
        case .mending(.findingRegister): go(.mending(.findingQueue), .findQueue)
        // The queue exists after all: somebody else has mended.
        case .mending(.findingQueue), .mending(.deletingRegister): go(.mending(.unlocking), .unlockMend)
        case .mending(.unlocking): unlocked()
        case .seeding, .pausing: preconditionFailure("an answer without a request in \(state)")
        }
    }

    /// The broker closed the channel.
    mutating func retreat(_ step: Preparation, _ fault: ChannelFault) -> [Action] {
        switch (step, fault.code) {
        case (_, ChannelFault.unanswered):
            state = .closed
            return [.trouble(Self.unanswered)] + pause()
        case (.findingRegister, ChannelFault.notFound):
            return reopened(.declaringQueue, .declareQueue)
        case (.findingQueue, ChannelFault.notFound):
            mayHaveMend = true
            return reopened(.mending(.locking), .lockMend)
        case (.claiming, ChannelFault.preconditionFailed):
            // Somebody else's token is the valid one; ours is stale and will be dropped by whoever receives it.
            state = .closed
            return proceed()
        case (.mending(.findingRegister), ChannelFault.notFound):
            return reopened(.mending(.unlocking), .unlockMend)
        case (.mending(.findingQueue), ChannelFault.notFound):
            return reopened(.mending(.deletingRegister), .deleteRegister)
        case (.mending(.locking), ChannelFault.resourceLocked), (.mending(.unlocking), _):
            // It is somebody else's, or gone.
            state = .closed
            return unlocked()
        case (.declaringQueue, ChannelFault.notFound):
            // A classic queue is there, and the node that has it is not.
            state = .closed
            return [.trouble(Self.unreachableQueue)] + pause()
        case (.matchingQueue, ChannelFault.notFound),
            (.seeding, _), (.pausing, _), (.claiming, ChannelFault.notFound):
            state = .closed
            return pause()
        default:
            state = .closed
            return refuse(fault, doing: step.words) + (mayHaveMend ? pause() : [])
        }
    }

    static let unanswered = """
        the broker does not answer for the lock's queues; if that lasts, one of them has lost its leader: delete both
        """

    private static let unreachableQueue = "the node of the cluster that keeps the lock's queue is down"

    mutating func seed() -> [Action] {
        state = .preparing(.seeding)
        return [.seed]
    }

    mutating func claim(_ nonce: Nonce) -> [Action] { go(.claiming, .claimRegister(nonce)) }

    private mutating func unlocked() -> [Action] {
        mayHaveMend = false
        return pause()
    }

    mutating func unlockMend() -> [Action] {
        state = .preparing(.mending(.unlocking))
        return openChannel() + [.request(.unlockMend)]
    }

    /// Starts again a little later: something on the broker was in motion.
    mutating func pause() -> [Action] {
        lastPause += 1
        state = .preparing(.pausing(lastPause))
        return [.pause(lastPause)]
    }

    /// Prepared: goes on with what is wanted now.
    mutating func proceed() -> [Action] {
        if let wanted { return contend(wanted) }
        state = isChannelOpen ? .idle : .closed
        return []
    }

    private mutating func go(_ step: Preparation, _ request: Request) -> [Action] {
        state = .preparing(step)
        return [.request(request)]
    }

    private mutating func reopened(_ step: Preparation, _ request: Request) -> [Action] {
        openChannel() + go(step, request)
    }
}

extension TokenMachine.Preparation {
    fileprivate var words: String {
        switch self {
        case .findingRegister, .mending(.findingRegister): "looking for the lock's register"
        case .findingQueue, .mending(.findingQueue): "looking for the lock's queue"
        case .matchingQueue, .declaringQueue: "declaring the lock's queue"
        case .seeding, .claiming, .pausing: "declaring the lock's register"
        case .mending: "mending the lock, whose queue was deleted"
        }
    }
}
