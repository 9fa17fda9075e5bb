import MQLock

// Events of the library, and of time.
extension OwnershipMachine {
    /// The group assigns these shards to us. The previous assignment has ended.
    mutating func assigned(_ shards: [Shard], _ membership: Membership, now: Instant) -> [Action] {
        var actions = expire(now)
        switch phase {
        case .closing, .ended: return actions + [.answerRevocation]
        case .joining, .assigned, .draining, .lost: break
        }
        // Eager assignments come after a revocation. Without one, owned shards are lost.
        if case .draining = phase { actions.append(.answerRevocation) }
        actions += giveUp(LossReason(.partitionLost, "assigned anew"))
        guard !isLeaving else { return actions + [.answerRevocation] + close(.left) }
        actions.append(.answerAssignment(shards))
        guard membership.isComplete else {
            // It could fence nothing.
            phase = .lost(since: now)
            return actions
        }
        phase = .assigned(membership)
        for shard in shards { stages[shard] = .waiting }
        claimNotBefore = nil
        return actions + goOn(now)
    }

    /// The group revokes everything.
    /// - Parameter lost: the library knows that it is too late for a clean release.
    mutating func revoked(lost: Bool, now: Instant) -> [Action] {
        var actions = expire(now)
        switch phase {
        case .closing, .ended: return actions + [.answerRevocation]
        case .draining:
            actions += finishDraining()
            return actions + [.answerRevocation]
        case .joining, .assigned, .lost: break
        }
        let held = owned
        if !lost, !held.isEmpty, let provenUntil {
            let until = min(now.after(timing.drain), provenUntil)
            actions += dropUnowned()
            // Commits and claims that were sent for these do not count any more.
            epoch += 1
            phase = .draining(until: until)
            for shard in held {
                // On the way out it was asked to drain already.
                guard let stage = stages[shard], let claim = stage.claim, stage != .draining(claim) else { continue }
                stages[shard] = .draining(claim)
                actions.append(.drain(shard, until: until))
            }
            return actions
        }
        actions += giveUp(LossReason(lost ? .partitionLost : .partitionRevoked))
        if mutant != .forgetsToAnswer { actions.append(.answerRevocation) }
        phase = .joining
        return isLeaving ? actions + close(.left) : actions
    }

    /// The work on a shard that has to be released has ended.
    mutating func drained(_ shard: Shard, now: Instant) -> [Action] {
        var actions = expire(now)
        guard case .draining? = stages[shard] else { return actions }
        stages[shard] = nil
        actions.append(.end(shard, drainReason))
        guard !ownsAny else { return actions }
        switch phase {
        case .draining: return actions + finishDraining()
        case .assigned: return actions + giveUp(drainReason) + close(.left)
        default: return actions
        }
    }

    /// The client is useless.
    mutating func broken(_ reason: LossReason, now: Instant) -> [Action] {
        expire(now) + fail(reason)
    }

    /// A permanent error.
    mutating func refused(_ text: String, now: Instant) -> [Action] {
        expire(now) + failed(.refused(text))
    }

    /// The library itself has seen that it is out of the group. It will rejoin, and report that.
    mutating func membershipLost(_ reason: LossReason, now: Instant) -> [Action] {
        var actions = expire(now)
        switch phase {
        case .joining, .lost, .closing, .ended: break
        case .assigned:
            actions += giveUp(reason)
            phase = .lost(since: now)
            if isLeaving { actions += close(.left) }
        case .draining:
            actions += giveUp(reason) + finishDraining()
        }
        return actions
    }

    /// Another thread saw by the clock that the proof has run out, before ``tick(now:)`` did.
    mutating func proofRanOut(now: Instant) -> [Action] {
        guard provenUntil != nil else { return expire(now) }
        provenUntil = now
        return expire(now)
    }

    /// No shard is to be claimed any more. Owned shards are drained, then the member leaves the group.
    mutating func leave(now: Instant) -> [Action] {
        var actions = expire(now)
        guard !isLeaving else { return actions }
        let until = now.after(timing.drain)
        leavingUntil = until
        switch phase {
        case .ended, .draining: return actions
        case .closing:
            // Nothing may begin again.
            phase = .closing(.left)
            return actions
        case .joining, .lost: return actions + close(.left)
        case .assigned:
            actions += dropUnowned()
            for shard in owned {
                guard let claim = stages[shard]?.claim else { continue }
                stages[shard] = .draining(claim)
                actions.append(.drain(shard, until: until))
            }
            return owned.isEmpty ? actions + giveUp(drainReason) + close(.left) : actions
        }
    }

    /// The client is closed.
    mutating func closed() {
        if case .closing(let end) = phase { phase = .ended(end) }
    }

    /// Time has passed.
    mutating func tick(now: Instant) -> [Action] {
        let actions = expire(now)
        switch phase {
        case .joining, .closing, .ended: return actions
        case .draining(let until):
            return until <= now ? actions + finishDraining() : actions
        case .lost(let since):
            guard since.after(timing.patience) <= now else { return actions }
            return actions + fail(LossReason(.partitionLost, "the group was not joined again in time"))
        case .assigned:
            if let leavingUntil, leavingUntil <= now {
                return actions + giveUp(drainReason) + close(.left)
            }
            if let outstanding, provenUntil == nil, outstanding.sentAt.after(timing.session) <= now {
                return actions + fail(LossReason(.proofOverdue, "a group commit was not answered"))
            }
            if stages.values.contains(where: {
                if case .refused(let since) = $0 { since.after(timing.patience) <= now } else { false }
            }) {
                return actions + fail(LossReason(.partitionLost, "a claim was refused, and no assignment came"))
            }
            if busy != nil, let busySince, busySince.after(timing.claimPatience) <= now,
                mutant != .waitsForClaimsForEver
            {
                return actions + fail(LossReason(.partitionLost, "a claim came to no end"))
            }
            return actions + goOn(now)
        }
    }

    // MARK: Parts

    /// First of all, whatever happens: a shard that is no longer proven is lost, and no later answer revives it.
    mutating func expire(_ now: Instant) -> [Action] {
        guard let provenUntil, provenUntil <= now, mutant != .deafToExpiry else { return [] }
        let reason = LossReason(.proofOverdue)
        if case .draining = phase { return giveUp(reason) + finishDraining() }
        if mutant == .revivesExpired { return [] }
        return fail(reason)
    }

    /// Everything is lost now, and nothing under way counts any more.
    mutating func giveUp(_ reason: LossReason) -> [Action] {
        var actions = owned.map { Action.end($0, reason) }
        actions += abandon()
        stages = [:]
        provenUntil = nil
        if mutant != .grantsAcrossEpochs { epoch += 1 }
        return actions
    }

    private mutating func dropUnowned() -> [Action] {
        stages = stages.filter { $0.value.claim != nil }
        return abandon()
    }

    private func abandon() -> [Action] { busy.map { [.abandonClaim($0)] } ?? [] }

    /// Ends the rest of a drain and answers the revocation.
    private mutating func finishDraining() -> [Action] {
        guard case .draining = phase else { return [] }
        let actions = giveUp(LossReason(.partitionRevoked)) + [.answerRevocation]
        phase = .joining
        return isLeaving ? actions + close(.left) : actions
    }

    private mutating func fail(_ reason: LossReason) -> [Action] {
        switch phase {
        case .closing, .ended: return []
        case .draining: return giveUp(reason) + [.answerRevocation] + close(.failed(reason))
        case .joining, .assigned, .lost: return giveUp(reason) + close(.failed(reason))
        }
    }

    mutating func close(_ end: End) -> [Action] {
        phase = .closing(isLeaving ? .left : end)
        return [.close(isLeaving ? .left : end)]
    }

    private var drainReason: LossReason { LossReason(isLeaving ? .shutdown : .partitionRevoked) }
}
