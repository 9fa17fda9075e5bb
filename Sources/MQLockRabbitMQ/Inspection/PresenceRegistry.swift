import MQLock

/// The holders and waiters of one session, to answer questions about them.
///
/// It is off the path of an acquire, which only notes that a name is in use. A little later a timer checks which names
/// are still in use, or again, and only for those the session listens. So a hold shorter than `delay` costs the broker
/// nothing, and may not be seen.
final class PresenceRegistry {
    private enum Timer { case look, sweep }

    private struct Watcher {
        let question: String
        let replyTo: String
        var until: ContinuousClock.Instant
    }

    private let locks: Locks
    private let identity: Nonce
    private let listener: ControlListener
    private let timers: Timers<Timer>

    private var candidates: [(name: LockName, since: ContinuousClock.Instant)] = []
    private var visible: Set<LockName> = []
    private var watched: [LockName: [Watcher]] = [:]

    /// How long a name has to be in use before it is listened for.
    static let delay = Duration.milliseconds(100)
    /// How often names that are out of use are removed.
    private static let sweepInterval = Duration.seconds(5)
    /// The most names to listen for; more are not seen. Each costs the broker a binding.
    static let maximumVisible = 4096
    private static let maximumWatchers = 16

    init(_ locks: Locks, _ publishing: PublishConnection, identity: Nonce) {
        self.locks = locks
        self.identity = identity
        listener = ControlListener(publishing, locks, identity)
        timers = Timers(locks.loop)
        listener.listen(for: self)
    }

    private var settings: SessionSettings { locks.settings }

    func close() {
        timers.stopAll()
        listener.close()
    }

    // MARK: Changes of a name

    func contending(_ lock: BrokerLock) {
        guard settings.inspection.answersQuestions else { return }
        lock.visibility.since = .now
        lock.visibility.touches += 1
        if lock.visibility.mark == .unseen {
            if visible.contains(lock.name) {
                lock.visibility.mark = .visible
            } else {
                lock.visibility.mark = .candidate
                candidates.append((lock.name, lock.visibility.since))
                lookLater()
            }
        }
        if !watched.isEmpty, lock.contender?.waits == true { announce(lock.name) { waiting(lock, .waiting) } }
    }

    /// The contender has its answer.
    func answered(_ lock: BrokerLock, _ answer: Result<LeaseRecord?, LockError>, waited: Bool) {
        guard !watched.isEmpty else { return }
        if case .success(let record?) = answer {
            announce(lock.name) { change(.granted, record) }
        } else if waited {
            announce(lock.name) { waiting(lock, .left) }
        }
    }

    /// The lease has ended, however it ended.
    func ended(_ lock: BrokerLock, _ record: LeaseRecord) {
        guard !watched.isEmpty else { return }
        announce(lock.name) {
            if case .lost(let reason) = record.state { return change(.lost, record, reason.description) }
            return change(.released, record)
        }
    }

    /// Whether somebody wants to be notified of every change.
    func isWatched(_ name: LockName) -> Bool { watched[name] != nil }

    // MARK: Which names to listen for

    private func lookLater() {
        guard !timers.isRunning(.look) else { return }
        timers.start(.look, after: Self.delay) { [weak self] in self?.look() }
    }

    private func look() {
        let ripe = ContinuousClock.now.before(Self.delay)
        var found: [LockName] = []
        var later: [(name: LockName, since: ContinuousClock.Instant)] = []
        for candidate in candidates {
            guard candidate.since <= ripe else {
                later.append(candidate)
                continue
            }
            guard let lock = locks.byName[candidate.name], lock.visibility.mark == .candidate else { continue }
            if lock.isContended || lock.visibility.touches > 1, visible.count < Self.maximumVisible {
                lock.visibility.mark = .visible
                visible.insert(lock.name)
                found.append(lock.name)
            } else {
                lock.visibility.mark = .unseen
            }
            lock.visibility.touches = 0
        }
        candidates = later
        if !found.isEmpty { listener.listen(to: found) }
        if !candidates.isEmpty { lookLater() }
        sweepLater()
    }

    private func sweepLater() {
        guard !timers.isRunning(.sweep), !visible.isEmpty else { return }
        timers.start(.sweep, after: Self.sweepInterval) { [weak self] in self?.sweep() }
    }

    private func sweep() {
        let now = ContinuousClock.now
        for (name, watchers) in watched {
            let left = watchers.filter { $0.until > now }
            watched[name] = left.isEmpty ? nil : left
        }
        var unused: [LockName] = []
        for name in visible {
            let lock = locks.byName[name]
            if let lock, lock.isContended || lock.visibility.touches > 0 {
                lock.visibility.touches = 0
            } else {
                lock?.visibility.mark = .unseen
                visible.remove(name)
                watched[name] = nil
                unused.append(name)
            }
        }
        if !unused.isEmpty { listener.ignore(unused) }
        sweepLater()
    }

    // MARK: Questions

    func asked(_ question: ControlQuestion) {
        guard let replyTo = question.replyTo else { return }
        if case .list(let after) = question.request { return list(after, question.question, replyTo) }
        guard let name = question.name else { return }
        let lock = locks.byName[name]
        switch question.request {
        case .hello, .list: break
        case .who: tell(lock, question, replyTo)
        case .watch(let seconds):
            // Even without a contender now: one may come while we are still listening.
            watch(name, question.question, replyTo, seconds)
            // Local grants would not be noticed.
            lock?.endStay()
            tell(lock, question, replyTo)
        case .yield(let token):
            lock?.endStay()
            if let lock { yield(lock, token, question, replyTo) }
        }
    }

    private func list(_ after: LockName?, _ question: String, _ replyTo: String) {
        let start = after?.utf8 ?? []
        let names = visible.filter { start.lexicographicallyPrecedes($0.utf8) }
            .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        var left = ControlRequest.maximumListed
        for name in names where left > 0 {
            guard let lock = locks.byName[name], let contender = contender(lock) else { continue }
            answer(.listed(name, contender), question, replyTo)
            left -= 1
        }
    }

    private func tell(_ lock: BrokerLock?, _ question: ControlQuestion, _ replyTo: String) {
        if let lock, let contender = contender(lock) { answer(.here(contender), question.question, replyTo) }
    }

    private func watch(_ name: LockName, _ question: String, _ replyTo: String, _ seconds: Int) {
        // Names that we no longer listen for would never be removed.
        guard visible.contains(name) else { return }
        var watchers = watched[name] ?? []
        let now = ContinuousClock.now
        watchers.removeAll { $0.replyTo == replyTo || $0.until <= now }
        // An observer that comes too late still sees the answers to its rounds.
        guard watchers.count < Self.maximumWatchers else { return }
        watchers.append(
            Watcher(question: question, replyTo: replyTo, until: now.after(.seconds(seconds))))
        watched[name] = watchers
    }

    private func yield(_ lock: BrokerLock, _ token: FencingToken, _ question: ControlQuestion, _ replyTo: String) {
        // All contenders in line receive it, but it is only for the holder.
        guard let record = lock.record, record.isValid else { return }
        func refuse(_ reason: String) {
            answer(.refused(session: identity.description, reason: reason), question.question, replyTo)
        }
        guard record.token == token else {
            return refuse("the lock has changed hands: its fencing token is \(record.token)")
        }
        let asker = question.user.map { "the user \($0)" } ?? "somebody whose user the broker has not validated"
        guard let user = question.user, settings.inspection.yieldUsers.contains(user) else {
            locks.relay.send(
                LockEvent(
                    .foreign, at: .now, record: record, owner: record.owner,
                    detail: "refused to yield to \(asker), who is not on the list of those who may ask"))
            return refuse("\(asker) is not on the holder's list of users who may ask it to yield")
        }
        let contender = holder(record)
        lock.yield(LossReason(.askedToYield, "by the user \(user)"))
        answer(.yielding(contender), question.question, replyTo)
    }

    // MARK: Sending

    private func announce(_ name: LockName, _ change: () -> LockChange) {
        guard let watchers = watched[name] else { return }
        let now = ContinuousClock.now
        let change = ControlAnswer.changed(change())
        for watcher in watchers where watcher.until > now {
            listener.answer(change.text(watcher.question), to: watcher.replyTo)
        }
    }

    private func answer(_ answer: ControlAnswer, _ question: String, _ replyTo: String) {
        listener.answer(answer.text(question), to: replyTo)
    }

    private func change(_ kind: LockChange.Kind, _ record: LeaseRecord, _ reason: String? = nil) -> LockChange {
        LockChange(kind, holder(record), reason: reason)
    }

    private func waiting(_ lock: BrokerLock, _ kind: LockChange.Kind) -> LockChange { LockChange(kind, waiter(lock)) }

    private func contender(_ lock: BrokerLock) -> LockContender? {
        if let record = lock.record, record.isValid { return holder(record) }
        return lock.contender?.waits == true ? waiter(lock) : nil
    }

    private func holder(_ record: LeaseRecord) -> LockContender {
        var contender = describe(.holder, for: record.heldFor, record.token)
        contender.info = record.info
        return contender
    }

    private func waiter(_ lock: BrokerLock) -> LockContender {
        describe(.waiter, for: lock.visibility.since.duration(to: .now), nil)
    }

    private func describe(
        _ role: LockContender.Role, for duration: Duration, _ token: FencingToken?
    ) -> LockContender {
        let now = WallClock.now
        return LockContender(
            role: role, session: identity.description, owner: settings.owner, host: ThisProcess.host,
            process: ThisProcess.id, mutex: settings.mutex.description, duration: duration,
            since: now - duration.nanoseconds / 1_000_000, fencingToken: token,
            connection: Session.connectionName(settings.owner, identity))
    }
}
