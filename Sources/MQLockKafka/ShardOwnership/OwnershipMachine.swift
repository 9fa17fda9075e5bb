import MQLock

/// The life of one membership of the group, from the first join to its end: which shards are owned, and when.
///
/// Pure: events come in with the instant at which they are handled, actions go out in the order in which to perform
/// them. Everything happens on the thread that polls the consumer, so a grant and a rebalance can never cross. The
/// rules are those of the article *Sharded ownership*; sentences there that say "never" were model-checked.
struct OwnershipMachine {
    typealias Instant = ContinuousClock.Instant
    typealias Shard = Int32

    /// The state of the membership.
    enum Phase: Equatable {
        /// Nothing is assigned. To assigned or closing.
        case joining
        /// Shards are assigned, and are claimed and owned one by one. To draining, joining, lost or closing.
        case assigned(Membership)
        /// The group revokes everything and waits for our answer. To joining or closing.
        case draining(until: Instant)
        /// We know that all is lost; the library has not reported it yet. To joining, assigned or closing.
        case lost(since: Instant)
        /// The client is being closed; nothing is owned. To ended.
        case closing(End)
        case ended(End)
    }

    /// Why a membership ended.
    enum End: Equatable {
        /// We left.
        case left
        /// A new client may succeed.
        case failed(LossReason)
        /// Trying again makes no sense.
        case refused(String)
    }

    /// The state of an assigned shard.
    enum Stage: Equatable {
        /// Waits for a claim to begin.
        case waiting
        /// Steps 1 to 3 of the claim run.
        case claiming(ClaimID)
        /// The broker refused our membership. Another assignment has to come.
        case refused(since: Instant)
        /// The claim is committed. Step 4, a group commit, has to follow.
        case claimed(Claim)
        /// Step 4 is under way.
        case confirming(Claim, CommitID)
        case owned(Claim)
        /// Owned. Most numbers of its claim are used, and another claim is due or under way. Ownership rests on the
        /// proof, so this claim needs no step 4.
        case renumbering(Claim, ClaimID?)
        /// Still owned; to be released as soon as its work has ended.
        case draining(Claim)

        var claim: Claim? {
            switch self {
            case .owned(let claim), .renumbering(let claim, _), .draining(let claim): claim
            default: nil
            }
        }
    }

    /// What a committed claim wrote.
    struct Claim: Equatable, Sendable {
        /// Larger than all earlier numbers of the shard.
        let number: UInt64
        /// The group offset that came with it: the only one that a renewal may send.
        let offset: Int64
    }

    struct ClaimID: Hashable, Sendable { let rawValue: UInt64 }
    struct CommitID: Hashable, Sendable { let rawValue: UInt64 }

    enum Action: Equatable {
        case answerAssignment([Shard])
        case answerRevocation
        /// Steps 1 to 3 for these shards. Answered by ``claimAnswered(_:_:now:)``, in any case.
        case startClaim(ClaimID, [Shard])
        /// The claim is useless now; its answer is still waited for.
        case abandonClaim(ClaimID)
        /// A group commit. Answered by ``commitAnswered(_:_:now:)``.
        case commit(CommitID, [Shard: Int64])
        /// All owned shards are proven until then. The first such action after an assignment begins a new proof.
        case prove(until: Instant)
        case own(Shard, Claim)
        /// From now on, grants on an owned shard count up from this claim's number.
        case renumber(Shard, Claim)
        /// The shard's work has to end. Answered by ``drained(_:now:)`` when it has.
        case drain(Shard, until: Instant)
        /// An owned shard is no longer owned, at once.
        case end(Shard, LossReason)
        case close(End)
    }

    enum CommitOutcome: Equatable {
        /// NO_ERROR, and the membership was complete and the same before and after.
        case accepted(Membership)
        /// Not renewed, and nothing else: rebalance under way, coordinator or connection gone, other membership seen.
        case notRenewed
        /// The broker does not know this generation or member.
        case stale
    }

    enum ClaimOutcome: Equatable {
        case committed([Shard: Claim])
        /// Nothing is known to have been written; begin again.
        case retry
        /// The broker does not know this generation or member.
        case stale
        case failed(End)
    }

    /// How long things take.
    struct Timing: Equatable {
        var session: Duration
        var margin: Duration
        /// Between two renewals.
        var renewal: Duration
        /// How long the work on revoked shards may take to end.
        var drain: Duration
        /// Between two attempts to claim.
        var claimRetry: Duration

        /// The times that follow from `session`; see BROKER-FACTS.md, section 9.
        init(session: Duration, drain: Duration) {
            self.session = session
            margin = session / 10
            renewal = session / 20
            self.drain = drain
            claimRetry = session / 20
        }

        /// How long an accepted commit proves ownership, counted from its sending.
        var validity: Duration { session - margin }
        /// How long to wait for an answer that the library has to give. After that, a new client is better.
        var patience: Duration { session * 2 }
        /// How long to wait for a claim's answer: each of its questions has its own limit, and these add up to less.
        var claimPatience: Duration { max(session * 4, .seconds(90)) }
    }

    /// A commit that has no answer yet.
    struct Outstanding: Equatable {
        let id: CommitID
        /// Not later than it was sent.
        let sentAt: Instant
        let epoch: UInt64
    }

    let timing: Timing
    var phase = Phase.joining
    var stages: [Shard: Stage] = [:]
    /// Until when all owned shards are proven; nil when none is.
    var provenUntil: Instant?
    /// Counts assignments and losses: anything begun in another epoch does not count.
    var epoch: UInt64 = 0
    var outstanding: Outstanding?
    /// The claim that has no answer yet, even a useless one, and when it began.
    var busy: ClaimID?
    var busySince: Instant?
    var claimNotBefore: Instant?
    var commitNotBefore: Instant?
    /// When a drain for leaving ends; nil while we stay.
    var leavingUntil: Instant?
    private var identifiers: UInt64 = 0
    /// A test switch: a defect to find.
    var mutant: Mutant?

    init(timing: Timing) { self.timing = timing }

    var isLeaving: Bool { leavingUntil != nil }

    var membership: Membership? {
        if case .assigned(let membership) = phase { membership } else { nil }
    }

    /// The shards that are owned now, in order.
    var owned: [Shard] { stages.filter { $0.value.claim != nil }.keys.sorted() }
    /// Whether there are any. Asked after each of many shards that end together.
    var ownsAny: Bool { stages.values.contains { $0.claim != nil } }

    mutating func nextIdentifier() -> UInt64 {
        identifiers += 1
        return identifiers
    }

    /// When ``tick(now:)`` has to be called at the latest; nil when time does not matter.
    func deadline(now: Instant) -> Instant? {
        var all: [Instant] = []
        if let provenUntil { all.append(provenUntil) }
        switch phase {
        case .assigned:
            if let leavingUntil { all.append(leavingUntil) }
            if let outstanding {
                all.append(outstanding.sentAt.after(timing.session))
            } else if stages.values.contains(where: \.wantsCommit) {
                all.append(commitNotBefore ?? now)
            }
            if busy == nil, stages.values.contains(where: \.wantsClaim) { all.append(claimNotBefore ?? now) }
            if busy != nil, let busySince { all.append(busySince.after(timing.claimPatience)) }
            if let refused = stages.values.compactMap(\.refusedSince).min() {
                all.append(refused.after(timing.patience))
            }
        case .draining(let until): all.append(until)
        case .lost(let since): all.append(since.after(timing.patience))
        case .joining, .closing, .ended: break
        }
        return all.min()
    }

    /// Defects that the tests have to find.
    enum Mutant: CaseIterable {
        case countsFromReceipt, ignoresMembership, keepsOwnedWhenStale, grantsAcrossEpochs, claimsWhileBusy
        case renewsWhileDraining, forgetsToAnswer, neverRetries, revivesExpired, deafToExpiry, waitsForClaimsForEver
        case forgetsToRenumber, renumbersByTheOldClaim
    }
}

extension OwnershipMachine.Stage {
    /// Whether to make a claim as soon as possible.
    var wantsClaim: Bool {
        switch self {
        case .waiting, .renumbering(_, nil): true
        default: false
        }
    }

    /// The stage of a shard that ``wantsClaim`` once this claim has begun.
    func claiming(_ id: OwnershipMachine.ClaimID) -> Self {
        if case .renumbering(let claim, _) = self { .renumbering(claim, id) } else { .claiming(id) }
    }

    fileprivate var wantsCommit: Bool {
        switch self {
        case .claimed, .owned, .renumbering, .draining: true
        default: false
        }
    }

    fileprivate var refusedSince: ContinuousClock.Instant? {
        if case .refused(let since) = self { since } else { nil }
    }
}
