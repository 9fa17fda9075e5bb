import MQLock

/// Releasing, giving up, losing.
extension ExclusiveMachine {
    /// Gives up whatever we have: the queue first, and the place in line when the broker has deleted it. So the next in
    /// line finds it free †.
    mutating func leave() -> [Action] {
        // The limit is the contender's, and a deletion has to be made, wanted or not.
        timers = timers.filter { $0.key == .delete || $0.key == .limit && wanted != nil }
        switch state {
        case .closed, .pausing, .waiting, .asking, .refused: return left()
        case .claiming:
            if mutant == .forgetsOwnClaim { return left() }
            // The answer decides whether there is something to delete †.
            state = .leaving(.claiming)
            return closeRegister()
        case .registering, .held: return delete()
        case .leaving: return []
        }
    }

    /// Begins anew, from the end of the line and a little later.
    mutating func restart() -> [Action] {
        mindsTrouble = true
        return leave()
    }

    mutating func delete() -> [Action] {
        var actions = closeRegister() + close(.claim)
        if mutant == .leavesLineFirst { actions += close(.line) }
        let channel = open.contains(.line) ? Channel.line : .claim
        state = .leaving(.deleting(channel))
        let opens = open.insert(channel).inserted
        return actions + [.delete(channel, opens: opens)]
    }

    /// Nothing is ours any more but channels, and perhaps the place in line.
    mutating func left() -> [Action] {
        let actions = closeAll()
        guard wanted != nil else {
            state = .closed
            timers = [:]
            return actions
        }
        guard mindsTrouble else { return actions + join() }
        return actions + pause()
    }

    private mutating func pause() -> [Action] {
        mindsTrouble = false
        state = .pausing
        return [start(.restart)]
    }

    mutating func closeAll() -> [Action] {
        turn = nil
        return close(.question) + closeRegister() + close(.claim) + close(.line)
    }

    mutating func closeRegister() -> [Action] {
        candidate = nil
        return close(.register)
    }

    mutating func close(_ channel: Channel) -> [Action] {
        open.remove(channel) == nil ? [] : [.close(channel)]
    }

    /// The contender is told why, and the place in line is given up.
    mutating func refuse(_ fault: ChannelFault, doing: String) -> [Action] {
        guard let wanted else { return leave() }
        self.wanted = nil
        return leave() + [.fail(wanted.attempt, fault, doing: doing)]
    }

    // MARK: The broker's endings

    mutating func cancelledByBroker(_ consumer: Consumer) -> [Action] {
        switch (consumer, state) {
        case (.queue, .held): return [.lose(LossReason(.queueDeleted))] + leave()
        // Without a place in line nobody would be woken by our end.
        case (.line, .held): return [.lose(LossReason(.queueDeleted, "the lock's line was deleted"))] + leave()
        case (.line, .waiting), (.line, .claiming), (.line, .asking), (.line, .refused), (.line, .registering),
            (.queue, .registering), (.register, .claiming), (.register, .registering):
            return restart()
        default: return []
        }
    }

    mutating func channelClosed(_ channel: Channel, _ fault: ChannelFault) -> [Action] {
        guard open.remove(channel) != nil else { return [] }
        if case .leaving(.deleting(channel)) = state { return deletionFailed(fault) }
        return switch channel {
        case .line: lineClosed(fault)
        case .claim: claimClosed(fault)
        case .register: registerClosed(fault)
        case .question: questionClosed(fault)
        }
    }

    private mutating func lineClosed(_ fault: ChannelFault) -> [Action] {
        turn = nil
        switch state {
        case .held: return [.lose(LossReason(.channelClosed, "\(fault.code) \(fault.text)"))] + leave()
        case .closed, .pausing, .leaving: return []
        // What the broker closes later than at the joining (its acknowledgement timeout for one), a new channel may mend.
        case .waiting(isConfirmed: false)
        where fault.code != ChannelFault.notFound && fault.code != ChannelFault.unanswered:
            return refuse(fault, doing: "standing in the lock's line")
        case .waiting, .claiming, .asking, .refused, .registering: return troubled(fault) + restart()
        }
    }

    private mutating func claimClosed(_ fault: ChannelFault) -> [Action] {
        switch (state, fault.code) {
        // The declaration may still be carried out, at any time †.
        case (.claiming, ChannelFault.unanswered), (.leaving(.claiming), ChannelFault.unanswered): return [.endSession]
        case (.leaving(.claiming), _): return left()
        // Every question is an error in the broker's log, too; what the name is used for seldom changes.
        case (.claiming, ChannelFault.resourceLocked): return refusals.isMultiple(of: 4) ? ask() : taken()
        case (.claiming, _):
            // It is not ours.
            state = .refused
            return refuse(fault, doing: "declaring the lock's queue")
        default: return []
        }
    }

    private mutating func registerClosed(_ fault: ChannelFault) -> [Action] {
        candidate = nil
        guard isRegistering else { return [] }
        switch fault.code {
        case ChannelFault.unanswered, ChannelFault.notFound: return troubled(fault) + restart()
        default: return refuse(fault, doing: "reading the lock's fencing register")
        }
    }

    private mutating func questionClosed(_ fault: ChannelFault) -> [Action] {
        switch (state, fault.code) {
        case (.asking(.whether), ChannelFault.resourceLocked): return taken()
        // Free by now.
        case (.asking(.whether), ChannelFault.notFound): return claimLater()
        case (.asking, ChannelFault.unanswered): return troubled(fault) + claimLater()
        case (.asking(.which), ChannelFault.preconditionFailed) where fault.saysInvalid: return claimLater()
        case (.asking, _): return refuse(fault, doing: "declaring the lock's queue")
        default: return []
        }
    }

    private mutating func deletionFailed(_ fault: ChannelFault) -> [Action] {
        switch fault.code {
        // The deletion may still be carried out, at any time: also when the queue is ours again †.
        case ChannelFault.unanswered: return [.endSession]
        // It is gone, or another's already.
        case ChannelFault.notFound, ChannelFault.resourceLocked: return left()
        case ChannelFault.outOfChannels.code:
            state = .leaving(.pausing)
            return [start(.delete)]
        default: return delete()
        }
    }

    mutating func channelUnavailable(_ channel: Channel) -> [Action] {
        open.remove(channel)
        switch (channel, state) {
        case (.line, .waiting): return pause()
        case (.claim, .claiming), (.question, .asking): return claimLater()
        case (.register, .claiming): return restart()
        case (.claim, .leaving(.deleting)): return deletionFailed(.outOfChannels)
        default: return []
        }
    }

    private func troubled(_ fault: ChannelFault) -> [Action] {
        fault.code == ChannelFault.unanswered
            ? [.trouble("the broker does not answer for the lock's queues; if that lasts, delete them")] : []
    }
}

extension ChannelFault {
    /// Whether the question of `askWhich` met no queue: its arguments are such that none can be made by them.
    fileprivate var saysInvalid: Bool { text.contains("invalid arg") }
}
