import Foundation
import MQLock

/// Who holds and waits in one session, for those who ask; on the lock connection's thread.
///
/// Off the path of an acquire: it only notes that a name is in use. A little later a timer looks which names still are,
/// or are again, and only those are listened for. So a hold shorter than `delay` costs the broker nothing, and may not
/// be seen.
final class PresenceRegistry: @unchecked Sendable {
    private struct Watcher {
        let question: String
        let replyTo: String
        var until: ContinuousClock.Instant
    }

    private let core: SessionCore
    private let identity: Nonce
    private let send: ([ControlMailbox.Command]) -> Void
    weak var names: LockNames?

    private var candidates: [(name: LockName, since: ContinuousClock.Instant)] = []
    private var isLooking = false
    private var visible: Set<LockName> = []
    private var isSweeping = false
    private var watched: [LockName: [Watcher]] = [:]

    /// How long a name has to be in use before it is listened for.
    static let delay = Duration.milliseconds(100)
    /// How often names that are out of use are given up.
    private static let sweepInterval = Duration.seconds(5)
    /// Beyond it names are not seen; a binding each is what they cost the broker.
    static let maximumVisible = 4096
    private static let maximumWatchers = 16

    init(core: SessionCore, identity: Nonce, send: @escaping ([ControlMailbox.Command]) -> Void) {
        self.core = core
        self.identity = identity
        self.send = send
    }

    private var settings: SessionSettings { core.settings }

    // MARK: What happens to a name

    func contending(_ entry: NameEntry) {
        guard settings.seeing.answersQuestions else { return }
        entry.presence.since = .now
        entry.presence.touches += 1
        if entry.presence.mark == .unseen {
            if visible.contains(entry.name) {
                entry.presence.mark = .visible
            } else {
                entry.presence.mark = .candidate
                candidates.append((entry.name, entry.presence.since))
                lookLater()
            }
        }
        if !watched.isEmpty, entry.contender?.waits == true { announce(.waiting, entry) }
    }

    /// The contender has had its answer.
    func answered(_ entry: NameEntry, _ answer: NameEntry.Answer, waited: Bool) {
        guard !watched.isEmpty else { return }
        if case .granted(let record) = answer {
            announce(entry.name) { self.change(.granted, record) }
        } else if waited {
            announce(entry.name) { LockChange(.left, self.waiter(entry)) }
        }
    }

    /// The lease has ended one way or the other.
    func ended(_ entry: NameEntry, _ record: LeaseRecord) {
        guard !watched.isEmpty else { return }
        announce(entry.name) {
            if case .lost(let reason) = record.state { return self.change(.lost, record, reason.description) }
            return self.change(.released, record)
        }
    }

    // MARK: Which names to listen for

    private func lookLater() {
        guard !isLooking else { return }
        isLooking = true
        core.loop.schedule(at: .now.advanced(by: Self.delay)) { [weak self] in self?.look() }
    }

    private func look() {
        isLooking = false
        guard core.end == nil, let names else { return }
        let ripe = ContinuousClock.now.advanced(by: .zero - Self.delay)
        var commands: [ControlMailbox.Command] = []
        var later: [(name: LockName, since: ContinuousClock.Instant)] = []
        for candidate in candidates {
            guard candidate.since <= ripe else {
                later.append(candidate)
                continue
            }
            guard let entry = names.names[candidate.name], entry.presence.mark == .candidate else { continue }
            if entry.isContended || entry.presence.touches > 1, visible.count < Self.maximumVisible {
                entry.presence.mark = .visible
                visible.insert(entry.name)
                commands.append(.listen(entry.name))
            } else {
                entry.presence.mark = .unseen
            }
            entry.presence.touches = 0
        }
        candidates = later
        if !commands.isEmpty { send(commands) }
        if !candidates.isEmpty { lookLater() }
        sweepLater()
    }

    private func sweepLater() {
        guard !isSweeping, !visible.isEmpty else { return }
        isSweeping = true
        core.loop.schedule(at: .now.advanced(by: Self.sweepInterval)) { [weak self] in self?.sweep() }
    }

    private func sweep() {
        isSweeping = false
        guard core.end == nil, let names else { return }
        let now = ContinuousClock.now
        for (name, watchers) in watched {
            let left = watchers.filter { $0.until > now }
            watched[name] = left.isEmpty ? nil : left
        }
        var commands: [ControlMailbox.Command] = []
        for name in visible {
            let entry = names.names[name]
            if let entry, entry.isContended || entry.presence.touches > 0 {
                entry.presence.touches = 0
            } else {
                entry?.presence.mark = .unseen
                visible.remove(name)
                watched[name] = nil
                commands.append(.ignore(name))
            }
        }
        if !commands.isEmpty { send(commands) }
        sweepLater()
    }

    // MARK: Questions

    func asked(_ question: ControlQuestion) {
        guard core.end == nil, let replyTo = question.replyTo else { return }
        let entry = names?.names[question.name]
        switch question.request {
        case .hello: break
        case .who: tell(entry, question, replyTo)
        case .watch(let seconds):
            // Also when nobody is here: a contender may come while we are still listening.
            watch(question, replyTo, seconds)
            tell(entry, question, replyTo)
        case .yield(let token): if let entry { yield(entry, token, question, replyTo) }
        }
    }

    private func tell(_ entry: NameEntry?, _ question: ControlQuestion, _ replyTo: String) {
        if let entry, let contender = contender(entry) { answer(.here(contender), question.question, replyTo) }
    }

    private func watch(_ question: ControlQuestion, _ replyTo: String, _ seconds: Int) {
        // What is not listened for any more would never be swept up.
        guard visible.contains(question.name) else { return }
        var watchers = watched[question.name] ?? []
        let now = ContinuousClock.now
        watchers.removeAll { $0.replyTo == replyTo || $0.until <= now }
        // An observer that comes too late still sees what answers its rounds.
        guard watchers.count < Self.maximumWatchers else { return }
        watchers.append(
            Watcher(question: question.question, replyTo: replyTo, until: now.advanced(by: .seconds(seconds))))
        watched[question.name] = watchers
    }

    private func yield(_ entry: NameEntry, _ token: FencingToken, _ question: ControlQuestion, _ replyTo: String) {
        // Everybody in line hears it; only the holder is meant.
        guard let record = entry.record, record.isValid else { return }
        func refuse(_ reason: String) {
            answer(.refused(session: identity.description, reason: reason), question.question, replyTo)
        }
        guard record.token == token else {
            return refuse("the lock has changed hands: its fencing token is \(record.token)")
        }
        let asker = question.user.map { "the user \($0)" } ?? "somebody whose user the broker has not validated"
        guard let user = question.user, settings.seeing.yieldUsers.contains(user) else {
            names?.relay.send(
                LockEvent(
                    .stranger, at: .now, record: record, owner: record.owner,
                    detail: "refused to yield to \(asker), who is not on the list of those who may ask"))
            return refuse("\(asker) is not on the holder's list of users who may ask it to yield")
        }
        let contender = holder(record)
        entry.yield(LossReason(.askedToYield, "by the user \(user)"))
        answer(.yielding(contender), question.question, replyTo)
    }

    // MARK: Saying

    private func announce(_ kind: LockChange.Kind, _ entry: NameEntry) {
        announce(entry.name) { LockChange(kind, self.waiter(entry)) }
    }

    private func announce(_ name: LockName, _ change: () -> LockChange) {
        guard let watchers = watched[name] else { return }
        let now = ContinuousClock.now
        let change = ControlAnswer.changed(change())
        send(
            watchers.filter { $0.until > now }.map { watcher in
                .answer(change.text(watcher.question), to: watcher.replyTo)
            })
    }

    private func answer(_ answer: ControlAnswer, _ question: String, _ replyTo: String) {
        send([.answer(answer.text(question), to: replyTo)])
    }

    private func change(_ kind: LockChange.Kind, _ record: LeaseRecord, _ reason: String? = nil) -> LockChange {
        LockChange(kind, holder(record), reason: reason)
    }

    private func contender(_ entry: NameEntry) -> LockContender? {
        if let record = entry.record, record.isValid { return holder(record) }
        return entry.contender?.waits == true ? waiter(entry) : nil
    }

    private func holder(_ record: LeaseRecord) -> LockContender {
        describe(.holder, for: record.heldFor, record.token)
    }

    private func waiter(_ entry: NameEntry) -> LockContender {
        describe(.waiter, for: entry.presence.since.duration(to: .now), nil)
    }

    private func describe(
        _ role: LockContender.Role, for duration: Duration, _ token: FencingToken?
    ) -> LockContender {
        let since = Date().timeIntervalSince1970 - duration.seconds
        return LockContender(
            role: role, session: identity.description, owner: settings.owner, host: SeeingSettings.host,
            process: SeeingSettings.process, mutex: settings.mutex.description, duration: duration,
            since: Int64(since * 1000), fencingToken: token,
            connection: Session.connectionName(settings.owner, identity))
    }
}
