import MQLock
import MQLockTesting

@testable import MQLockKafka

/// A library, a broker, a claimer and a clock around one machine after the other: makes events, and judges the actions
/// by an account of its own. Whatever the machine gets wrong ends up in `violation`.
struct OwnershipWorld {
    typealias Machine = OwnershipMachine
    typealias Shard = OwnershipMachine.Shard

    struct SentCommit {
        let id: Machine.CommitID
        let sentAt: Machine.Instant
        let era: Int
        let offsets: [Shard: Int64]
    }

    let timing = Machine.Timing(session: .seconds(6), drain: .seconds(2))
    let mutant: Machine.Mutant?
    var generator: SeededGenerator
    var machine: Machine
    var now = ContinuousClock.now
    private(set) var violation: String?
    /// What happened, if it is to be kept: writing it down takes most of an order's time.
    private(set) var trace: [String] = []
    private let isTraced: Bool

    // The library.
    var membership: Membership?
    var assigned: Set<Shard> = []
    private var unansweredRevocations = 0
    private var unansweredAssignments = 0
    private var revokedAt: Machine.Instant?
    private var generations: Int32 = 0
    // What was begun before the last of these counts no more: assignments, revocations, losses.
    private(set) var era = 0
    private(set) var openClaim: (id: Machine.ClaimID, era: Int, shards: [Shard])?
    private var hungClaim: Machine.ClaimID?
    private(set) var openCommit: SentCommit?
    /// Every claim that was committed, the newest last.
    private var claims: [Shard: [(claim: Machine.Claim, era: Int)]] = [:]
    private var numbers: UInt64 = 0
    // The account of ownership.
    private(set) var owned: Set<Shard> = []
    /// Owned shards that need another claim, and the number of each one's own.
    private var scarce: Set<Shard> = []
    private var granting: [Shard: UInt64] = [:]
    private(set) var provenUntil: Machine.Instant?
    private var acceptedNow: SentCommit?
    private(set) var left = false

    init(seed: UInt64, mutant: Machine.Mutant? = nil, isTraced: Bool = false) {
        generator = SeededGenerator(seed)
        self.isTraced = isTraced
        self.mutant = mutant
        machine = Machine(timing: timing)
        machine.mutant = mutant
    }

    // MARK: Events

    mutating func pass(_ duration: Duration, ticks: Bool) {
        now += duration
        if ticks { perform("tick", machine.tick(now: now)) }
        if ticks, let revokedAt, unansweredRevocations > 0, revokedAt + timing.drain <= now {
            fail("a revocation was not answered in time")
        }
    }

    mutating func assign(_ shards: Set<Shard>, complete: Bool = true) {
        generations += 1
        era += 1
        let membership = Membership(generation: complete ? generations : -1, member: "m")
        (assigned, self.membership) = (shards, membership)
        unansweredAssignments += 1
        perform("assigned \(shards.sorted())", machine.assigned(shards.sorted(), membership, now: now))
        if unansweredAssignments > 0 { fail("an assignment was not answered at once") }
        expectNothingOwned("after an assignment")
    }

    mutating func revoke(lost: Bool) {
        era += 1
        unansweredRevocations += 1
        revokedAt = now
        perform("revoked\(lost ? " lost" : "")", machine.revoked(lost: lost, now: now))
        if lost { expectNothingOwned("after a loss") }
        if unansweredRevocations > 0, owned.isEmpty { fail("a revocation waits for nothing") }
    }

    mutating func answerCommit(_ outcome: Machine.CommitOutcome) {
        guard let commit = openCommit else { return }
        openCommit = nil
        let counts = commit.era == era && unansweredRevocations == 0
        if case .accepted(let proven) = outcome, proven == membership, proven.isComplete, counts {
            acceptedNow = commit
        }
        let stale = outcome == .stale && counts && machine.membership != nil
        if stale { era += 1 }
        perform("commit \(outcome)", machine.commitAnswered(commit.id, outcome, now: now))
        acceptedNow = nil
        if stale { expectNothingOwned("after the broker refused the generation") }
    }

    /// The claim under way is never answered.
    mutating func hangClaim() { hungClaim = openClaim?.id }

    mutating func answerClaim(_ kind: Int) {
        guard let claim = openClaim, claim.id != hungClaim else { return }
        openClaim = nil
        var outcome: Machine.ClaimOutcome
        switch kind {
        case 0...6:
            var written: [Shard: Machine.Claim] = [:]
            for shard in claim.shards where kind > 0 || shard.isMultiple(of: 2) {
                numbers += 1
                written[shard] = .init(number: numbers, offset: Int64(numbers))
            }
            if claim.era == era { for (shard, one) in written { claims[shard, default: []].append((one, era)) } }
            outcome = .committed(written)
        case 7, 8: outcome = .retry
        case 9: outcome = .stale
        default: outcome = .failed(.failed(LossReason(.connectionClosed)))
        }
        perform("claim \(outcome)", machine.claimAnswered(claim.id, outcome, now: now))
    }

    /// A shard's grants have used most numbers of its claim up.
    mutating func useUp(_ shard: Shard) {
        if owned.contains(shard), mayRebalance, !left { scarce.insert(shard) }
        perform("used up \(shard)", machine.usedUp(shard, now: now))
    }

    mutating func drain(_ shard: Shard) { perform("drained \(shard)", machine.drained(shard, now: now)) }

    mutating func loseMembership() {
        era += 1
        perform("membership lost", machine.membershipLost(LossReason(.partitionLost), now: now))
        expectNothingOwned("after the membership was lost")
    }

    mutating func breakClient() {
        era += 1
        perform("broken", machine.broken(LossReason(.connectionClosed), now: now))
        expectNothingOwned("of a broken client")
    }

    mutating func runOut() { perform("ran out", machine.proofRanOut(now: now)) }

    mutating func leave() {
        left = true
        perform("leave", machine.leave(now: now))
    }

    /// The client is gone; unless we left, another comes.
    mutating func closeIfAsked() {
        guard case .closing = machine.phase else { return }
        if !assigned.isEmpty { revoke(lost: false) }
        machine.closed()
        if isTraced { trace.append("closed") }
        guard !left else { return }
        expectNothingOwned("by a closed client")
        machine = Machine(timing: timing)
        machine.mutant = mutant
        (openClaim, hungClaim, openCommit, membership, assigned) = (nil, nil, nil, nil, [])
        era += 1
    }

    var mayRebalance: Bool { unansweredRevocations == 0 }

    var isSettled: Bool {
        left ? machine.phase == .ended(.left) : mayRebalance && !assigned.isEmpty && owned == assigned && scarce.isEmpty
    }

    // MARK: Judging

    private mutating func perform(_ event: @autoclosure () -> String, _ actions: [Machine.Action]) {
        if isTraced { trace.append("\(event()) -> \(actions)") }
        for action in actions { judge(action) }
        if let provenUntil, !owned.isEmpty, provenUntil <= now { fail("owned past the proof") }
        if Set(machine.owned) != owned { fail("the machine owns \(machine.owned), it told of \(owned.sorted())") }
    }

    private mutating func judge(_ action: Machine.Action) {
        switch action {
        case .answerAssignment:
            if unansweredAssignments == 0 { fail("no assignment to answer") }
            unansweredAssignments -= 1
        case .answerRevocation:
            if !owned.isEmpty { fail("answered while something is owned") }
            // An assignment that is declined is answered so, too.
            if unansweredRevocations > 0 {
                unansweredRevocations -= 1
            } else if unansweredAssignments > 0 {
                unansweredAssignments -= 1
            } else {
                fail("no revocation to answer")
            }
            if unansweredRevocations == 0 { (assigned, membership) = ([], nil) }
        case .startClaim(let id, let shards):
            if openClaim != nil { fail("two claims at once") }
            if unansweredRevocations > 0 || !assigned.isSuperset(of: shards) { fail("claims what is not assigned") }
            openClaim = (id, era, shards)
        case .abandonClaim(let id):
            if openClaim?.id != id { fail("abandons another claim") }
        case .commit(let id, let offsets):
            if openCommit != nil { fail("two commits at once") }
            if unansweredRevocations > 0 || membership == nil { fail("commits without an assignment") }
            for (shard, offset) in offsets where !hasClaimed(shard, { $0.offset == offset }) {
                fail("commits an offset that no claim of now wrote")
            }
            openCommit = SentCommit(id: id, sentAt: now, era: era, offsets: offsets)
        case .prove(let until):
            guard let accepted = acceptedNow else { return fail("proven by nothing") }
            if until > max(accepted.sentAt + timing.validity, provenUntil ?? accepted.sentAt) {
                fail("proven too long")
            }
            provenUntil = until
        case .own(let shard, let claim):
            guard let accepted = acceptedNow else { return fail("owned by nothing") }
            if accepted.offsets[shard] != claim.offset || !hasClaimed(shard, { $0 == claim }) {
                fail("owned without a claim that was confirmed")
            }
            if unansweredRevocations > 0 || !assigned.contains(shard) { fail("owned without an assignment") }
            if accepted.sentAt + timing.validity <= now { fail("owned by a proof of the past") }
            if !owned.insert(shard).inserted { fail("owned twice") }
            granting[shard] = claim.number
        case .renumber(let shard, let claim):
            if !owned.contains(shard) || unansweredRevocations > 0 {
                fail("renumbers what is not owned, or not for long")
            }
            if !hasClaimed(shard, { $0 == claim }) { fail("renumbered by no claim of now") }
            if claim.number <= granting[shard] ?? 0 { fail("numbers are used again") }
            granting[shard] = claim.number
            scarce.remove(shard)
        case .drain(let shard, let until):
            if !owned.contains(shard) { fail("drains what is not owned") }
            if let provenUntil, until > provenUntil, !left { fail("drains past the proof") }
        case .end(let shard, _):
            if owned.remove(shard) == nil { fail("ends what is not owned") }
            scarce.remove(shard)
            if owned.isEmpty { provenUntil = nil }
        case .close:
            if !owned.isEmpty { fail("closes while something is owned") }
        }
    }

    /// Whether such a claim was committed since the last assignment.
    private func hasClaimed(_ shard: Shard, _ isSuch: (Machine.Claim) -> Bool) -> Bool {
        claims[shard, default: []].contains { $0.era == era && isSuch($0.claim) }
    }

    private mutating func expectNothingOwned(_ when: String) {
        if !owned.isEmpty { fail("\(owned.sorted()) owned \(when)") }
    }

    mutating func fail(_ text: String) {
        if violation == nil { violation = text }
    }
}
