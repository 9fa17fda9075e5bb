import MQLock

// Claims, and the group commits that confirm them and renew ownership.
extension OwnershipMachine {
    /// The answer to a commit, whatever has happened since it was sent.
    mutating func commitAnswered(_ id: CommitID, _ outcome: CommitOutcome, now: Instant) -> [Action] {
        guard let sent = outstanding, sent.id == id else { return expire(now) }
        outstanding = nil
        let actions = expire(now)
        guard case .assigned(let membership) = phase, sent.epoch == epoch else { return actions + goOn(now) }
        switch outcome {
        case .accepted(let proven) where proven == membership && proven.isComplete || mutant == .ignoresMembership:
            return actions + accepted(sent, now)
        case .accepted, .notRenewed:
            unconfirm(id)
            commitNotBefore = now.after(timing.renewal)
            return actions
        case .stale where mutant == .keepsOwnedWhenStale: return actions
        case .stale:
            let lost = giveUp(LossReason(.partitionLost, "the group's broker no longer knows this member"))
            phase = .lost(since: now)
            return actions + lost + (isLeaving ? close(.left) : [])
        }
    }

    private mutating func accepted(_ sent: Outstanding, _ now: Instant) -> [Action] {
        let from = mutant == .countsFromReceipt ? now : sent.sentAt
        let until = from.after(timing.validity)
        guard until > now else {
            // It says nothing about the present. Shards that wait for it are asked for again.
            unconfirm(sent.id)
            return goOn(now)
        }
        provenUntil = max(provenUntil ?? until, until)
        var actions: [Action] = [.prove(until: provenUntil ?? until)]
        for shard in stages.keys.sorted() {
            guard case .confirming(let claim, sent.id)? = stages[shard] else { continue }
            stages[shard] = .owned(claim)
            actions.append(.own(shard, claim))
        }
        return actions + goOn(now)
    }

    /// Shards whose confirmation failed stay claimed. The claim is valid, and only step 4 is done again.
    private mutating func unconfirm(_ id: CommitID) {
        for (shard, stage) in stages {
            if case .confirming(let claim, id) = stage { stages[shard] = .claimed(claim) }
        }
    }

    /// The answer to a claim, whatever has happened since it began.
    mutating func claimAnswered(_ id: ClaimID, _ outcome: ClaimOutcome, now: Instant) -> [Action] {
        guard busy == id else { return expire(now) }
        busy = nil
        var actions = expire(now)
        guard case .assigned = phase, !isLeaving else {
            if case .failed(let end) = outcome { return actions + failed(end) }
            return actions
        }
        for (shard, stage) in stages where stage == .claiming(id) {
            switch outcome {
            case .committed(let claims): stages[shard] = claims[shard].map { .claimed($0) } ?? .waiting
            case .retry, .failed: stages[shard] = .waiting
            case .stale: stages[shard] = .refused(since: now)
            }
        }
        actions += renumber(id, outcome)
        switch outcome {
        case .committed: commitNotBefore = nil
        // An owned shard claims again: the broker may refuse the claim only because a rebalance begins.
        case .retry, .stale:
            claimNotBefore = now.after(mutant == .neverRetries ? .seconds(1_000_000) : timing.claimRetry)
        case .failed(let end): return actions + failed(end)
        }
        return actions + goOn(now)
    }

    /// Most numbers of an owned shard's claim are used.
    mutating func usedUp(_ shard: Shard, now: Instant) -> [Action] {
        let actions = expire(now)
        guard case .owned(let claim)? = stages[shard], mutant != .forgetsToRenumber else { return actions }
        stages[shard] = .renumbering(claim, nil)
        return actions + goOn(now)
    }

    /// The claim counts for shards that were owned when it began and ever since: every loss ends the stage.
    private mutating func renumber(_ id: ClaimID, _ outcome: ClaimOutcome) -> [Action] {
        var actions: [Action] = []
        for shard in stages.keys.sorted() {
            guard case .renumbering(let old, id)? = stages[shard] else { continue }
            if case .committed(let claims) = outcome, let claim = claims[shard] {
                stages[shard] = .owned(claim)
                actions.append(.renumber(shard, mutant == .renumbersByTheOldClaim ? old : claim))
            } else {
                stages[shard] = .renumbering(old, nil)
            }
        }
        return actions
    }

    mutating func failed(_ end: End) -> [Action] {
        switch phase {
        case .closing, .ended: return []
        case .draining, .joining, .assigned, .lost: break
        }
        let reason: LossReason =
            switch end {
            case .failed(let reason): reason
            case .refused(let text): LossReason(.partitionLost, text)
            case .left: LossReason(.shutdown)
            }
        let answer: [Action] = if case .draining = phase { [.answerRevocation] } else { [] }
        return giveUp(reason) + answer + close(end)
    }

    /// Begins whatever is due.
    mutating func goOn(_ now: Instant) -> [Action] {
        var actions: [Action] = []
        let renews: Bool =
            switch phase {
            case .assigned: true
            case .draining: mutant == .renewsWhileDraining
            default: false
            }
        guard renews else { return [] }
        if busy == nil || mutant == .claimsWhileBusy, !isLeaving, claimNotBefore.map({ $0 <= now }) ?? true {
            let waiting = stages.filter(\.value.wantsClaim).keys.sorted()
            if !waiting.isEmpty {
                let id = ClaimID(rawValue: nextIdentifier())
                (busy, busySince) = (id, now)
                for shard in waiting { stages[shard] = stages[shard]?.claiming(id) }
                actions.append(.startClaim(id, waiting))
            }
        }
        if outstanding == nil, commitNotBefore.map({ $0 <= now }) ?? true, let commit = nextCommit() {
            let id = CommitID(rawValue: nextIdentifier())
            outstanding = Outstanding(id: id, sentAt: now, epoch: epoch)
            commitNotBefore = now.after(timing.renewal)
            for shard in commit.keys {
                if case .claimed(let claim)? = stages[shard] { stages[shard] = .confirming(claim, id) }
            }
            actions.append(.commit(id, commit))
        }
        return actions
    }

    /// All claims that wait for confirmation, or else one owned shard: one is enough for a renewal.
    private func nextCommit() -> [Shard: Int64]? {
        var commit: [Shard: Int64] = [:]
        for (shard, stage) in stages {
            if case .claimed(let claim) = stage { commit[shard] = claim.offset }
        }
        if commit.isEmpty, let shard = owned.first, let claim = stages[shard]?.claim { commit[shard] = claim.offset }
        return commit.isEmpty ? nil : commit
    }
}
