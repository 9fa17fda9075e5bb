/// Makes one story of what the contenders of a name report to an observer, each for itself: in order, nothing twice,
/// and with the ends of contenders that could not report them. A pure value; the observer feeds it.
///
/// Announcements of two sessions may overtake each other. So the grant of a new holder is held back for a moment, until
/// the end of the one before arrives; the tokens say which is which. A number is believed for a few rounds only: a lie
/// about a large one would hide all later holders for good.
package struct Observation: Sendable {
    private struct Known: Sendable {
        var contender: LockContender
        /// How many rounds it has let pass without an answer.
        var missed = 0
    }

    private var holder: Known?
    private var waiters: [LockContender.Speaker: Known] = [:]
    /// A grant that waits for the end of the holder before.
    private var successor: LockChange?
    /// The largest token whose end is known, for as long as messages about it may come late.
    private var ended: FencingToken? { didSet { endedIn = rounds } }
    /// The round in which that end became known.
    private var endedIn = 0
    /// How many rounds of questions are over.
    private var rounds = 0
    private static let missedRounds = 2
    /// Nothing can make an observer remember more.
    private static let maximumWaiters = 10_000

    package init() {}

    /// Whether to call `settle` in a moment.
    package var isUnsettled: Bool { successor != nil }

    /// Handles an answer to the observer's question.
    package mutating func answered(_ contender: LockContender) -> [LockChange] {
        switch contender.role {
        case .waiter: return waits(contender)
        case .holder:
            if let known = holder, known.contender.fencingToken == contender.fencingToken,
                known.contender.speaker == contender.speaker
            {
                holder = Known(contender: contender)
                return known.missed < Self.missedRounds ? [] : [LockChange(.held, contender)]
            }
            // A contender that held when the first question came had been granted the lock before.
            return holds(LockChange(rounds == 0 ? .held : .granted, contender))
        }
    }

    /// Handles an announcement.
    package mutating func announced(_ change: LockChange) -> [LockChange] {
        switch change.kind {
        case .waiting: return waits(change.contender)
        case .left:
            return waiters.removeValue(forKey: change.contender.speaker) == nil ? [] : [change]
        case .granted: return holds(change)
        default: return ends(change)
        }
    }

    /// The end of the previous holder has not been reported in time.
    package mutating func settle() -> [LockChange] {
        guard let successor else { return [] }
        self.successor = nil
        var changes: [LockChange] = []
        if let before = holder?.contender {
            changes.append(Self.unsaid(before))
            ended = before.fencingToken
        }
        holder = Known(contender: successor.contender)
        return changes + [successor]
    }

    /// A round of questions is over: a contender that has not answered for a while is gone, or stopped.
    package mutating func endRound() -> [LockChange] {
        rounds += 1
        if rounds - endedIn >= Self.missedRounds { ended = nil }
        var changes: [LockChange] = []
        if var known = holder {
            known.missed += 1
            holder = known
            if known.missed == Self.missedRounds {
                changes.append(LockChange(.silent, known.contender, reason: "it no longer answers"))
            }
        }
        for (speaker, var known) in waiters.sorted(by: { $0.key.session < $1.key.session }) {
            known.missed += 1
            waiters[speaker] = known.missed < Self.missedRounds ? known : nil
            if waiters[speaker] == nil {
                changes.append(LockChange(.left, known.contender, reason: "it no longer answers"))
            }
        }
        return changes
    }

    private mutating func waits(_ contender: LockContender) -> [LockChange] {
        let isNew = waiters[contender.speaker] == nil
        guard !isNew || waiters.count < Self.maximumWaiters else { return [] }
        waiters[contender.speaker] = Known(contender: contender)
        return isNew ? [LockChange(.waiting, contender)] : []
    }

    private mutating func holds(_ change: LockChange) -> [LockChange] {
        guard let token = change.contender.fencingToken else { return [] }
        waiters[change.contender.speaker] = nil
        if let ended, token <= ended { return [] }
        if let known = holder, let current = known.contender.fencingToken, token <= current {
            guard known.missed >= Self.missedRounds else { return [] }
            // Reported as silent already; the contender that answers now is the holder.
            holder = nil
        }
        if let next = successor?.contender.fencingToken {
            // Reported twice, or overtaken.
            guard token > next else { return [] }
            let changes = settle()
            successor = change
            return changes
        }
        guard holder != nil else {
            holder = Known(contender: change.contender)
            return [change]
        }
        successor = change
        return []
    }

    private mutating func ends(_ change: LockChange) -> [LockChange] {
        guard let token = change.contender.fencingToken else { return [] }
        if let ended, token <= ended { return [] }
        if let current = holder?.contender.fencingToken, token < current { return [] }
        // Only a holder itself can report its own end.
        if let current = holder?.contender, current.fencingToken == token, current.speaker != change.contender.speaker {
            return []
        }
        var changes: [LockChange] = []
        if let next = successor?.contender.fencingToken, next <= token { changes = settle() }
        if let before = holder?.contender, before.fencingToken != token { changes.append(Self.unsaid(before)) }
        ended = token
        holder = nil
        changes.append(change)
        // Its successor, if that was quicker.
        return changes + settle()
    }

    private static func unsaid(_ before: LockContender) -> LockChange {
        LockChange(.lost, before, reason: "it has not said why; the lock is another's")
    }
}
