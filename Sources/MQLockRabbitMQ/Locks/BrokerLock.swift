import MQLock

/// One lock name in one provider, whatever its mutex: the contender with its deadline, and the lease. The subclass
/// implements what the mutex does on the broker.
///
/// It serves one contender at a time (local arbitration ensures that), but may still be cleaning up after the previous
/// one. It outlives sessions: a contender goes back in line over the next session without noticing.
class BrokerLock: ChannelHandler {
    let name: LockName
    let objects: ObjectNames
    let locks: Locks
    /// The current session.
    private(set) var session: Session?
    private(set) var contender: Contender?
    private(set) var tenure: Tenure?
    /// A lease that is lost because its holder was asked to yield; at the broker the lock stays with it until it has
    /// released.
    private(set) var yielding: LeaseRecord?
    /// What others can see of it.
    var visibility = Visibility()
    /// What has kept contenders from being granted.
    private var trouble: String?
    /// Since when the broker has not confirmed what was published for the contender.
    private var unconfirmedSince: ContinuousClock.Instant?
    /// Whether the contender waits for the first contact of other names, or for a yielding holder to stop.
    private var isParked = false
    /// The token of the broker's last grant.
    private(set) var lastGrant: FencingToken?
    private let timers: Timers<Timer>

    private enum Timer { case deadline, startup, limit, yield, stay }

    init(_ name: LockName, _ objects: ObjectNames, _ locks: Locks) {
        self.name = name
        self.objects = objects
        self.locks = locks
        timers = Timers(locks.loop)
    }

    var settings: SessionSettings { locks.settings }

    /// The lease; nil while nobody holds the lock.
    final var record: LeaseRecord? { tenure?.record }

    // MARK: What a mutex does

    /// Whether the name can be forgotten without an effect on the broker.
    var isQuietAtBroker: Bool { fatalError("a lock without a mutex") }
    /// Whether the next contender first has to find or create the objects on the broker; only a few names do that at
    /// once.
    var needsContact: Bool { fatalError("a lock without a mutex") }
    /// Whether something has to be published before the contender can be served.
    var needsPublish: Bool { fatalError("a lock without a mutex") }
    func acquireAtBroker(waits: Bool) { fatalError("a lock without a mutex") }
    /// The contender was cancelled or its deadline passed; it already has its answer.
    func cancelAtBroker() { fatalError("a lock without a mutex") }
    /// The holder has released, or the hold has reached its limit.
    func releaseAtBroker() { fatalError("a lock without a mutex") }
    /// A session is up; nothing is known about the objects on the broker yet.
    func prepare(_ session: Session) { fatalError("a lock without a mutex") }
    /// The session is gone, and so is everything on its channels.
    func resetAtBroker() { fatalError("a lock without a mutex") }
    /// Whether the broker still has to confirm a release; until then the next in line would be refused. Such a lock
    /// calls `locks.holdEnded()` when the broker has confirmed.
    var isReleasingAtBroker: Bool { false }
    /// The channels with requests for this lock, and the quorum queues that they concern.
    var channels: [Channel?] { fatalError("a lock without a mutex") }
    var quorumQueues: [String] { fatalError("a lock without a mutex") }
    /// Makes later grants carry a number above this one; only called for a holder. Never called on a mutex that cannot
    /// do it.
    func raise(above token: FencingToken, _ answer: @escaping (Result<FencingToken, LockError>) -> Void) {
        fatalError("a lock without a mutex")
    }
    /// Ends the wait for that; the broker may still execute the request.
    func cancelRaising(_ error: LockError) {}
    /// Whether a released lock may stay here for the next local contender, as far as this mutex knows.
    var mayStay: Bool { false }
    /// Closes idle channels; the name is quiet.
    func forget() {}
    func received(_ inbound: Inbound, on channel: Channel) { fatalError("a lock without a mutex") }

    // MARK: Contenders

    final var isQuiet: Bool { isQuietAtBroker && contender == nil && tenure == nil && yielding == nil }

    final var isHeldOrReleasing: Bool { tenure != nil || yielding != nil || isReleasingAtBroker }

    final func acquire(_ contender: Contender) {
        precondition(self.contender == nil, "a second contender for \(name)")
        self.contender = contender
        // A kept lock whose time is over, or a holder whose lease has run out by the clock and which leaves the local
        // line before this thread has noticed.
        if tenure?.close() == true || record.map({ $0.settleIfExpired() || $0.state.isFinal }) == true {
            endHold()
            releaseAtBroker()
        }
        join()
    }

    final func cancel(_ cancellation: Cancellation) {
        if contender?.cancellation === cancellation { turnAway(.cancelled(name)) }
    }

    /// Ends the wait with an error that does not come from the broker.
    final func turnAway(_ error: LockError) {
        guard contender != nil else { return }
        answer(.failure(error))
        if session != nil, !isParked { cancelAtBroker() }
        isParked = false
    }

    /// Does nothing when this lease is not the held one: it was lost before.
    final func release(_ record: LeaseRecord) {
        if yielding === record { return handOver() }
        guard self.record === record else { return }
        endHold()
        releaseAtBroker()
        locks.holdEnded()
    }

    private func join() {
        guard let session, let contender else { return }
        unconfirmedSince = nil
        timers.stop(.deadline)
        // A try has a limit, too, in case the broker does not answer.
        let deadline = contender.waits ? contender.deadline : contender.start.after(settings.patience)
        if let deadline { timers.start(.deadline, at: deadline) { [weak self] in self?.deadlinePassed() } }
        session.presence.contending(self)
        // A holder that was asked to yield has to stop first.
        isParked = yielding != nil || needsContact && !locks.admit(self)
        if !isParked { acquireAtBroker(waits: contender.waits) }
    }

    /// A channel to contend on, which leaves some to what is done for a moment. When there is none, channels that are not
    /// needed are closed.
    final func openContendersChannel() -> Channel? {
        if let link = session?.link, let channel = link.open(for: self, leaving: link.reserve) { return channel }
        locks.freeChannels()
        return nil
    }

    /// Whether a contender without a channel waits for one that is being closed: another session would be quicker.
    final var awaitsChannel: Bool { contender?.mayMove != true && session?.link.isClosingChannels == true }

    /// There is no session to join over; the wait for one may have its own limit.
    final func awaitSession(until limit: ContinuousClock.Instant?, _ passed: @escaping () -> Void) {
        guard session == nil, let limit else { return }
        timers.start(.deadline, at: limit, passed)
    }

    private func deadlinePassed() {
        guard contender?.waits == true else { return turnAway(unanswered(obstacle)) }
        turnAway(.timedOut(name, detail: obstacle ?? "it was held or waited for elsewhere"))
    }

    /// What is known to be in the contender's way.
    private var obstacle: String? { session?.publishing.obstacle ?? silence ?? trouble }

    private func unanswered(_ obstacle: String?) -> LockError {
        LockError(.unreachable, obstacle ?? "the broker did not answer for \(name) in time")
    }

    /// A quorum queue without a leader does not answer. Its nodes are down, or its only node was killed within seconds
    /// of the queue's declaration; in that case it stays like that.
    private var silence: String? {
        let waits = channels.map { $0?.owedSince } + [unconfirmedSince]
        guard let since = waits.compactMap(\.self).min() else { return nil }
        let silence = since.duration(to: .now)
        guard silence > .seconds(1) else { return nil }
        return """
            the broker does not answer for \(quorumQueues.joined(separator: " and ")), for \(silence.readable) now, as for a \
            queue that has lost its leader; if that lasts though most of its nodes run, delete it (rabbitmqctl delete_queue)
            """
    }

    /// Its turn for a first contact has come; false when it is no longer needed.
    final func unpark() -> Bool {
        guard isParked, let contender else { return false }
        isParked = false
        acquireAtBroker(waits: contender.waits)
        return true
    }

    private func answer(_ answer: Result<LeaseRecord?, LockError>) {
        guard let contender else { return }
        self.contender = nil
        timers.stop(.deadline)
        timers.stop(.startup)
        session?.presence.answered(self, answer, waited: contender.waits)
        contender.answer(answer)
    }

    private func endHold() {
        if let record { session?.presence.ended(self, record) }
        timers.stop(.limit)
        timers.stop(.stay)
        if let tenure {
            tenure.finish()
            locks.tenures.remove(tenure)
            _ = locks.memory.largest.raise(name, to: tenure.largest)
        }
        tenure = nil
        cancelRaising(
            LockError(.released, "the lock \(name) is no longer held; its number may have been raised or not"))
    }

    /// Raises the number of the lock held by this lease.
    final func raise(
        _ record: LeaseRecord, above token: FencingToken,
        _ answer: @escaping (Result<FencingToken, LockError>) -> Void
    ) {
        guard self.record === record, session?.isProven == true else {
            return answer(.failure(LockError(.released, "the lock \(name) is no longer held by this lease")))
        }
        // Local grants would have smaller numbers.
        endStay()
        raise(above: token, answer)
    }

    // MARK: The session

    final func begin(_ session: Session) {
        self.session = session
        prepare(session)
        join()
    }

    final func setSuspect(_ suspect: Bool) {
        if suspect { endStay() }
        guard let record, record.setSuspect(suspect), suspect else { return }
        locks.relay.send(LockEvent(.suspect, at: .now, record: record, owner: record.owner))
    }

    final func lose(_ reason: LossReason) {
        tenure?.finish()?.lose(reason)
        endHold()
        locks.holdEnded()
    }

    // MARK: Sticky locks

    /// The lock stays after its release, at most until this instant.
    final func keep(_ tenure: Tenure, until end: ContinuousClock.Instant) {
        guard self.tenure === tenure else { return }
        timers.start(.stay, at: end) { [weak self] in self?.endStay() }
    }

    /// A lock that is kept without a lease goes back to the broker now, and a held one when it is released.
    final func endStay() {
        guard tenure?.close() == true else { return }
        endHold()
        releaseAtBroker()
        locks.holdEnded()
    }

    final func endSession() {
        session = nil
        yielding = nil
        isParked = false
        visibility = Visibility()
        timers.stopAll()
        resetAtBroker()
    }

    /// Publishes for this lock. `done` is called unless the session ends before.
    final func publish(
        _ message: some LockMessage, to queue: String, _ done: @escaping (Publisher.Outcome) -> Void
    ) {
        if unconfirmedSince == nil { unconfirmedSince = .now }
        session?.publisher.publish(message, to: queue) { [weak self, weak session] outcome in
            guard let self, self.session === session else { return }
            if outcome == .unknown { publishFailed() } else { unconfirmedSince = nil }
            done(outcome)
        }
    }

    /// The limit for the first session covers all that a contender needs, including the publish connection.
    private func publishFailed() {
        guard let contender, needsPublish, let publishing = session?.publishing, let obstacle = publishing.obstacle
        else { return }
        if trouble != obstacle { reportTrouble(obstacle) }
        guard !publishing.hasBeenUp, let limit = settings.startupTimeout, !timers.isRunning(.startup) else { return }
        timers.start(.startup, at: contender.start.after(limit)) { [weak self] in
            guard let self, needsPublish, let publishing = session?.publishing, !publishing.hasBeenUp else { return }
            turnAway(unanswered(publishing.obstacle))
        }
    }

    // MARK: Outcomes

    /// Creates the lease and answers the contender with it. Releases the lock when the number is not above all that
    /// were seen, or the proof has run out: a process that was stopped may find an old delivery after the broker has
    /// granted the lock to another contender.
    /// - Parameters:
    ///   - fence: the number; if it is an error, the contender gets that.
    ///   - maximum: how long the hold may last; nil for a mutex without a limit.
    ///   - ownProof: what else has to prove the hold.
    final func grant(
        _ fence: Result<FencingToken, LockError>, for maximum: Duration? = nil, ownProof: ProofOfLife? = nil
    ) {
        guard let session else { return }
        let token: FencingToken
        do throws(LockError) {
            token = try fence.get()
            guard locks.memory.largest.raise(name, to: token) else { throw regression(token) }
        } catch {
            releaseAtBroker()
            return answer(.failure(error))
        }
        // The session is over; the contender goes back in line over the next one.
        guard session.isProven else { return }
        let limit = maximum.map { ContinuousClock.now.after($0) }
        let record = LeaseRecord(
            name: name, token: token, owner: settings.owner, proof: session.proof, limit: limit, ownProof: ownProof)
        let stay = stickyTime(token)
        let tenure = Tenure(record, staying: stay)
        self.tenure = tenure
        lastGrant = token
        if stay > .zero { locks.tenures.add(tenure) }
        trouble = nil
        if let limit, let maximum {
            timers.start(.limit, at: limit) { [weak self] in
                let what =
                    "a \(self?.settings.mutex.description ?? "") lock cannot be held longer than \(maximum.readable)"
                self?.lose(LossReason(.holdLimit, what))
                self?.releaseAtBroker()
            }
        }
        answer(.success(record))
    }

    private func regression(_ token: FencingToken) -> LockError {
        LockError(
            .tokenRegression,
            """
            the broker hands out the lock \(name) with the fencing token \(token), and this process has seen \
            \(locks.memory.largest[name].map(\.description) ?? "more") already: its queues were restored from a backup, or made \
            anew by a host whose clock is behind
            """)
    }

    /// Ends a try before its limit: there is no evidence that the lock is held.
    final func unable() { fail(unanswered(obstacle)) }

    final func contended() { answer(.success(nil)) }

    final func fail(_ error: LockError) { answer(.failure(error)) }

    /// The broker has closed a channel of this lock.
    final func learn(from fault: ChannelFault) {
        guard let timeout = ConsumerTimeout.named(in: fault) else { return }
        report(locks.learn(consumerTimeout: timeout))
    }

    /// A foreign message was dropped.
    final func reportForeign(_ what: String) { report("dropped \(what)") }

    /// The lock's token is new. If this process has held the lock before, something removed the old token.
    final func tokenMadeAnew() {
        guard locks.memory.largest[name] != nil else { return }
        reportTrouble(
            """
            the lock's token was gone, and is made anew: its queue was deleted, purged or left unused for two weeks, or a \
            policy of the broker's drops messages, which 'mqlock doctor' finds
            """)
    }

    /// A problem at the broker keeps the lock from working; also for the message of a wait that times out.
    final func reportTrouble(_ what: String) {
        trouble = what
        report(what)
    }

    private func report(_ detail: String) {
        locks.relay.send(LockEvent(.foreign, at: .now, name: name, owner: settings.owner, detail: detail))
    }

    // MARK: Yielding

    /// The holder's lease is lost at once. The lock is handed over when the holder has released, because it has to stop
    /// first, or after what was left of its proof; by then the guard of its work has ended it.
    final func yield(_ reason: LossReason) {
        guard let record else { return }
        yielding = record
        timers.start(.yield, after: record.remaining) { [weak self] in self?.handOver() }
        lose(reason)
    }

    private func handOver() {
        guard yielding != nil else { return }
        timers.stop(.yield)
        yielding = nil
        releaseAtBroker()
        locks.holdEnded()
        _ = unpark()
    }
}
