import MQLock

/// One name in one session, whatever its mutex: the waiting contender with its deadline, the lease, and the driver that
/// does the mutex's part on the broker.
final class NameEntry: @unchecked Sendable {
    /// What a contender is told.
    enum Answer: Sendable {
        case granted(LeaseRecord)
        case contended
        /// The deadline passed; with what stood in the way, if that is known.
        case timedOut(String?)
        case cancelled
        case sessionEnded(SessionEnd)
        case failed(LockError)
    }

    let name: LockName
    let objects: ObjectNames
    unowned let names: LockNames
    var core: SessionCore { names.core }
    private(set) var driver: (any NameDriver)!
    private(set) var contender: (attempt: Attempt, waits: Bool, answer: (Answer) -> Void)?
    private var deadline: TimerID?
    private var holdTimer: TimerID?
    private(set) var record: LeaseRecord?
    /// What is to be seen of it from outside.
    var presence = EntryPresence()
    /// What has kept contenders from being granted.
    private var trouble: String?
    /// Whether the contender waits for other names' first contact to be over, or for a holder to stop that yields.
    private var isParked = false

    init(_ name: LockName, _ objects: ObjectNames, in names: LockNames) {
        self.name = name
        self.objects = objects
        self.names = names
        driver =
            switch names.core.settings.mutex {
            case .token: TokenDriver(self)
            case .exclusiveQueue: ExclusiveDriver(self)
            default: SACDriver(self)
            }
    }

    var isQuiet: Bool { driver.isQuiet && contender == nil && record == nil }
    var isHeld: Bool { record != nil || presence.yielding != nil }

    // MARK: Contenders

    func contend(
        _ attempt: Attempt, waits: Bool, deadline: ContinuousClock.Instant?,
        answer: @escaping (Answer) -> Void
    ) {
        contender = (attempt, waits, answer)
        if let deadline {
            self.deadline = core.loop.schedule(at: deadline) { [weak self] in
                guard let self else { return }
                abandon(attempt, .timedOut(names.obstacle() ?? trouble))
            }
        }
        // A holder whose lease has run out by the clock leaves the line before this thread has noticed.
        if let record, record.settleIfExpired() || record.state.isFinal { endHold() }
        names.presence.contending(self)
        // One that was asked to yield stops first.
        isParked = presence.yielding != nil || driver.needsContact && !names.admit(self)
        if !isParked { driver.contend(attempt, waits: waits) }
    }

    /// Its turn for a first contact has come; false when nobody wants it any more.
    func unpark() -> Bool {
        guard isParked, let contender else { return false }
        isParked = false
        driver.contend(contender.attempt, waits: contender.waits)
        return true
    }

    func abandon(_ attempt: Attempt, _ answer: Answer) {
        guard contender?.attempt == attempt else { return }
        self.answer(answer)
        if !isParked { driver.abandon(attempt) }
        isParked = false
    }

    func release(_ record: LeaseRecord) {
        if presence.yielding === record { return handOn() }
        guard self.record === record else { return }
        endHold()
        driver.release()
        names.drainedIfSo()
    }

    func turnAway() { turnAway(.shutDown) }

    /// Ends the wait with an error that is no answer of the broker's.
    func turnAway(_ error: LockError) {
        if let contender { abandon(contender.attempt, .failed(error)) }
    }

    /// Tells the contender, if there still is one.
    func answer(_ answer: Answer) {
        if let deadline { core.loop.cancel(deadline) }
        deadline = nil
        let contender = self.contender
        self.contender = nil
        if let contender { names.presence.answered(self, answer, waited: contender.waits) }
        contender?.answer(answer)
    }

    func endHold() {
        if let record { names.presence.ended(self, record) }
        if let holdTimer { core.loop.cancel(holdTimer) }
        holdTimer = nil
        record = nil
    }

    // MARK: The session

    func setSuspect(_ suspect: Bool) {
        guard let record, record.setSuspect(suspect), suspect else { return }
        names.relay.send(LockEvent(.suspect, at: .now, record: record, owner: record.owner))
    }

    func lose(_ reason: LossReason) {
        record?.lose(reason)
        endHold()
        names.drainedIfSo()
    }

    func sessionEnded(_ end: SessionEnd) { answer(.sessionEnded(end)) }

    func close() { driver.close() }

    // MARK: The driver's results

    /// Makes the lease and answers the contender with it; puts the lock back when the number is not above all that were
    /// seen.
    /// - Parameters:
    ///   - fence: the number; an error is what the contender gets.
    ///   - maximum: how long the hold may last; nil for a mutex without a limit.
    ///   - ownProof: what else has to prove the hold.
    func grant(_ fence: Result<FencingToken, LockError>, for maximum: Duration?, ownProof: ProofOfLife? = nil) {
        let token: FencingToken
        do throws(LockError) {
            token = try fence.get()
            guard names.largest.raise(name, to: token) else {
                throw LockError(
                    .tokenRegression,
                    """
                    the broker hands out the lock \(name) with the fencing token \(token), and this process has seen \
                    \(names.largest[name].map(\.description) ?? "more") already: its queues were restored from a \
                    backup, or made anew by a host whose clock is behind
                    """)
            }
        } catch {
            driver.release()
            return answer(.failed(error))
        }
        guard core.proof.isAlive else { return core.finish(.proofOverdue) }
        let limit = maximum.map { ContinuousClock.now.advanced(by: $0) }
        let record = LeaseRecord(
            name: name, token: token, owner: core.settings.owner, proof: core.proof, limit: limit,
            ownProof: ownProof, origin: names.session)
        self.record = record
        trouble = nil
        if let limit, let maximum {
            holdTimer = core.loop.schedule(at: limit) { [weak self] in self?.reachedLimit(record, maximum) }
        }
        answer(.granted(record))
    }

    private func reachedLimit(_ record: LeaseRecord, _ maximum: Duration) {
        guard self.record === record else { return }
        record.lose(LossReason(.holdLimit, "a token cannot be held longer than \(maximum.readable)"))
        endHold()
        driver.release()
        names.drainedIfSo()
    }

    /// A message that is none of ours was dropped.
    func reportStranger(_ what: String) { report("dropped \(what)") }

    /// The broker keeps the lock from working: also for the message of a wait that times out.
    func reportTrouble(_ what: String) {
        trouble = what
        report(what)
    }

    private func report(_ detail: String) {
        names.relay.send(LockEvent(.stranger, at: .now, name: name, owner: core.settings.owner, detail: detail))
    }
}
