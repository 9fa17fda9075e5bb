/// This process's contender for the locks of a ``BrokerQuorum``.
///
/// It stands in line at the first member that answers, its gate. Behind that it asks all others at once, and acquires
/// the lock when a majority has granted it whose sessions have settled and whose numbers it has raised. The article on
/// quorums has the reasons for the order of these steps.
final class QuorumContender: BrokerContender {
    typealias Part = QuorumMember.Part

    private let members: [QuorumMember]
    private let needed: Int
    private let patience: Duration
    private let settling: Duration
    private let clock: any LockClock
    private let relay: ObserverRelay
    private let held = Locked<[LeaseID: [Part]]>([:])

    init(
        _ members: [any RaisingLocks], needed: Int, patience: Duration, settling: Duration, relay: ObserverRelay
    ) {
        self.members = members.enumerated().map { QuorumMember($0, $1) }
        (self.needed, self.patience, self.settling, self.relay) = (needed, patience, settling, relay)
        clock = members[0].clock
    }

    /// The result of one attempt.
    private enum Outcome {
        case granted(LeaseRecord)
        /// Sessions have to settle first; nothing is held meanwhile.
        case settlesAt(ContinuousClock.Instant)
        /// Other contenders hold too many of the members.
        case contended
        /// Too few answer.
        case short([LockError])
    }

    // MARK: Acquiring

    func acquire(_ name: LockName, until deadline: ContinuousClock.Instant?) async throws(LockError) -> LeaseRecord {
        let pause = GrowingDelay(patience / 8...patience * 2)
        let part = try partName(name)
        var failures = 0
        while true {
            let wake: ContinuousClock.Instant
            var detail: String?
            switch await attempt(name, part, until: deadline) {
            case .granted(let record): return record
            case .settlesAt(let instant):
                wake = instant
                detail = "sessions with the brokers have to stand for \(settling.readable) first"
            case .contended: wake = clock.now
            case .short(let errors):
                try check(errors)
                failures += 1
                wake = clock.now.after(pause.delay(before: failures))
                let obstacle = errors.first { $0.code != .timedOut }?.message
                detail = silence(errors) ?? obstacle ?? "it was held or waited for elsewhere"
            }
            try? await clock.sleep(until: min(wake, deadline ?? wake))
            guard !Task.isCancelled else { throw .cancelled(name) }
            if let deadline, deadline <= clock.now { throw .timedOut(name, detail: detail) }
        }
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> LeaseRecord? {
        let outcome = await attemptOnce(name, try partName(name))
        guard !Task.isCancelled else {
            if case .granted(let record) = outcome { await release(record, .released) }
            throw .cancelled(name)
        }
        switch outcome {
        case .granted(let record): return record
        case .contended: return nil
        case .settlesAt(let instant):
            throw LockError(
                .unreachable,
                """
                sessions with the brokers of the quorum have to stand for \(settling.readable) before they count; try \
                again in \(clock.now.duration(to: instant).readable)
                """)
        case .short(let errors):
            try check(errors)
            throw LockError(
                .unreachable,
                "the lock \(name) could not be tried: \(silence(errors) ?? "too few brokers answer in time")",
                underlying: errors.first)
        }
    }

    /// Two quorums of different sizes have no majorities in common, so they have no names in common.
    private func partName(_ name: LockName) throws(LockError) -> LockName {
        try LockName("\(name.string)/quorum/\(members.count)")
    }

    /// Ends the wait when so many members refuse that no majority is possible until someone intervenes.
    private func check(_ errors: [LockError]) throws(LockError) {
        let refusals = errors.filter(\.isRefusal)
        guard refusals.count > members.count - needed, let first = refusals.first else { return }
        throw first
    }

    /// What to report about members that are not there, when they are too many.
    private func silence(_ errors: [LockError]) -> String? {
        guard members.count(where: \.provider.isConnected) < needed else { return nil }
        let cause = errors.first.map { ": \($0.message)" } ?? ""
        return "sessions stand with fewer than \(needed) of the quorum's \(members.count) brokers\(cause)"
    }

    // MARK: One attempt

    private func attempt(_ name: LockName, _ part: LockName, until deadline: ContinuousClock.Instant?) async -> Outcome
    {
        var errors: [LockError] = []
        var gate: Part?
        for member in members where !member.isAbsent {
            switch await stand(at: member, part, until: deadline) {
            case .success(let granted?): gate = granted
            case .success(nil): break
            case .failure(let error): errors.append(error)
            }
            if gate != nil || isOver(deadline) { break }
        }
        guard let gate, !isOver(deadline) else {
            await release([gate].compactMap(\.self))
            return .short(errors)
        }
        while true {
            var (parts, refusals) = await gather(behind: gate, part, until: deadline)
            if !hasMajority(parts), !isOver(deadline), isWorthWaiting(behind: gate) {
                await release(parts.filter { $0.member !== gate.member })
                parts = await walk(behind: gate, part, until: deadline)
            }
            guard !hasMajority(parts), !isOver(deadline), isWorthWaiting(behind: gate) else {
                return await decide(parts, name, errors + refusals)
            }
            await release(parts.filter { $0.member !== gate.member })
        }
    }

    private func attemptOnce(_ name: LockName, _ part: LockName) async -> Outcome {
        var errors: [LockError] = []
        for gate in members where !gate.isAbsent {
            switch await tryAll([gate], part)[gate.number] {
            case .success(nil): return .contended
            case .success(let granted?):
                let answers = await tryAll(members.filter { $0 !== gate }, part)
                let parts = [granted] + Self.parts(answers)
                let isTaken = answers.values.contains { if case .success(nil) = $0 { true } else { false } }
                if isTaken, parts.count < needed {
                    await release(parts)
                    return .contended
                }
                return await decide(parts, name, errors + Self.errors(answers))
            case .failure(let error): errors.append(error)
            case nil: break
            }
            if Task.isCancelled { break }
        }
        return .short(errors)
    }

    private func isOver(_ deadline: ContinuousClock.Instant?) -> Bool {
        Task.isCancelled || deadline.map { $0 <= clock.now } ?? false
    }

    /// Whether we still hold the gate, and enough of the others seem to live.
    private func isWorthWaiting(behind gate: Part) -> Bool {
        gate.lease.isValid && members.count { $0 === gate.member || $0.provider.isConnected } >= needed
    }

    private func count(settled parts: [Part]) -> Int { parts.count { settlesAt($0) <= clock.now } }

    private func hasMajority(_ parts: [Part]) -> Bool { parts.count(where: \.lease.isValid) >= needed }

    /// Waits in a member's line for as long as that member lives. Nil when it does not.
    private func stand(
        at member: QuorumMember, _ part: LockName, until deadline: ContinuousClock.Instant?
    ) async -> Result<Part?, LockError> {
        let answers = await standing(at: [member], part, until: deadline).answers(
            enough: { _ in false }, grace: .zero, clock
        ) { [clock, patience] in
            // Checks a local flag: the grant itself comes by a push.
            repeat {
                do { try await clock.sleep(until: clock.now.after(patience)) } catch { return }
            } while member.provider.isConnected
        }
        let answer = answers[member.number]
        if !Task.isCancelled { note([member], answers) }
        return answer ?? .success(nil)
    }

    /// Asks all others at once, and gives each just enough time to answer that no deadlock lasts: contenders that each
    /// hold a part release it again.
    private func gather(
        behind gate: Part, _ part: LockName, until deadline: ContinuousClock.Instant?
    ) async -> ([Part], [LockError]) {
        let others = members.filter { $0 !== gate.member }
        let answers = await standing(at: others, part, until: deadline).answers(
            enough: { count(settled: [gate] + Self.parts($0)) >= needed }, grace: patience / 10, clock,
            end: sleep(patience))
        if !Task.isCancelled { note(others, answers) }
        return ([gate] + Self.parts(answers), Self.errors(answers))
    }

    /// Waits for the others one after the other, each time holding only those before it: so no one waits in a circle.
    private func walk(
        behind gate: Part, _ part: LockName, until deadline: ContinuousClock.Instant?
    ) async -> [Part] {
        var parts = [gate]
        let end = clock.now.after(patience * 10)
        for member in members where member.number > gate.member.number && !member.isAbsent {
            guard parts.count < needed, !isOver(deadline), clock.now < end else { break }
            let limit = min(deadline ?? end, end)
            if case .success(let granted?) = await stand(at: member, part, until: limit) { parts.append(granted) }
        }
        return parts
    }

    private func standing(
        at members: [QuorumMember], _ part: LockName, until deadline: ContinuousClock.Instant?
    ) -> QuorumQuestion<Part?> {
        QuorumQuestion(members: members) { [clock] in
            await $0.acquire(part, within: deadline.map { clock.now.duration(to: $0) })
        } late: {
            await $0?.lock.end(.released)
        }
    }

    private func tryAll(_ members: [QuorumMember], _ part: LockName) async -> QuorumQuestion<Part?>.Answers {
        let question = QuorumQuestion(members: members) {
            await $0.tryAcquire(part)
        } late: {
            await $0?.lock.end(.released)
        }
        let answers = await question.answers(
            enough: { _ in false }, grace: .zero, clock, end: sleep(patience))
        if !Task.isCancelled { note(members, answers) }
        return answers
    }

    private func sleep(_ duration: Duration) -> @Sendable () async -> Void {
        { [clock] in try? await clock.sleep(until: clock.now.after(duration)) }
    }

    /// A member that someone holds leaves a wait unanswered, too: so this is checked only when it is not connected.
    private func note<Answer>(_ asked: [QuorumMember], _ answers: QuorumQuestion<Answer>.Answers) {
        for member in asked {
            if case .success = answers[member.number] { member.answered(true) } else { member.answered(false) }
        }
    }

    private static func parts(_ answers: QuorumQuestion<Part?>.Answers) -> [Part] {
        answers.values.compactMap { if case .success(let part?) = $0 { part } else { nil } }
            .sorted { $0.member.number < $1.member.number }
    }

    private static func errors<Answer>(_ answers: QuorumQuestion<Answer>.Answers) -> [LockError] {
        answers.sorted { $0.key < $1.key }.compactMap { if case .failure(let error) = $0.value { error } else { nil } }
    }

    // MARK: Granting

    /// Grants if these parts are a majority that counts; otherwise releases them.
    private func decide(_ parts: [Part], _ name: LockName, _ errors: [LockError]) async -> Outcome {
        let valid = parts.filter(\.lease.isValid)
        let settled = valid.filter { settlesAt($0) <= clock.now }
        if settled.count >= needed, !Task.isCancelled {
            let (record, failures) = await raise(settled, of: parts, name)
            if let record { return .granted(record) }
            await release(parts)
            return .short(failures + errors)
        }
        await release(parts)
        guard settled.count < needed, valid.count >= needed else { return .short(errors) }
        return .settlesAt(valid.map(settlesAt).sorted()[needed - 1])
    }

    /// A broker forgot its sessions before this one began: by now all leases from before have ended by the clock.
    private func settlesAt(_ part: Part) -> ContinuousClock.Instant {
        part.lease.record.proof.beganAt.after(settling)
    }

    /// Raises the numbers, and makes the lease of those parts where that succeeded.
    /// - Parameter all: what is held with them, to be released at the end.
    /// - Returns: no lease when they are no majority, and why.
    private func raise(
        _ parts: [Part], of all: [Part], _ name: LockName
    ) async -> (LeaseRecord?, [LockError]) {
        let largest = parts.reduce(parts[0].lease.fencingToken) { max($0, $1.lease.fencingToken) }
        let byNumber = Dictionary(uniqueKeysWithValues: parts.map { ($0.member.number, $0) })
        let question = QuorumQuestion<FencingToken>(members: parts.map(\.member)) { member in
            guard let part = byNumber[member.number] else { return .failure(.cancelled(name)) }
            return await member.raise(part, above: largest)
        } late: { _ in
        }
        let answers = await question.answers(
            enough: { answers in answers.values.count { if case .success = $0 { true } else { false } } >= needed },
            grace: patience / 10, clock, end: sleep(patience * 10))
        let raised = parts.compactMap { part -> (part: Part, number: FencingToken)? in
            guard case .success(let number) = answers[part.member.number], part.lease.isValid else { return nil }
            return (part, number)
        }
        var failures = Self.errors(answers)
        if failures.isEmpty {
            failures = [LockError(.unreachable, "the lock's number was not raised in time on enough of the brokers")]
        }
        guard raised.count >= needed, !Task.isCancelled, let token = raised.map(\.number).min() else {
            return (nil, failures)
        }
        let record = LeaseRecord(needed, of: raised.map(\.part.lease.record), name: name, token: token)
        guard record.isValid else { return (nil, failures) }
        held.withLock { $0[record.id] = all }
        record.onSuspicion { [weak record, relay] in
            guard let record, record.state == .suspect else { return }
            relay.report(.suspect, owner: record.owner, of: record, at: record.proof.clock.now)
        }
        return (record, [])
    }

    // MARK: Releasing

    func release(_ record: LeaseRecord, _ ending: HoldEnding) async {
        guard let parts = held.withLock({ $0.removeValue(forKey: record.id) }) else { return }
        await end(parts, ending)
    }

    private func release(_ parts: [Part]) async { await end(parts, .released) }

    /// Ends all holds at once. After the patience, a release without an answer continues in the background.
    private func end(_ parts: [Part], _ ending: HoldEnding) async {
        guard !parts.isEmpty else { return }
        let byNumber = Dictionary(uniqueKeysWithValues: parts.map { ($0.member.number, $0) })
        let question = QuorumQuestion<Void>(members: parts.map(\.member)) { member in
            await byNumber[member.number]?.lock.end(ending)
            return .success(())
        } late: { _ in
        }
        let (clock, end) = (clock, sleep(patience))
        // A task of its own: it is not cut short by cancellation.
        await Task {
            _ = await question.answers(enough: { _ in false }, grace: .zero, clock, end: end)
        }.value
    }
}

extension LockError {
    /// Whether trying again helps only after someone has changed something.
    fileprivate var isRefusal: Bool {
        switch code {
        case .timedOut, .cancelled, .unreachable, .lost, .released: false
        default: true
        }
    }
}
