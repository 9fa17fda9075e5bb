/// Performs what its ``CandidateMachine`` decides: campaigns, runs the work, watches the leadership, releases it.
package actor Candidate {
    private typealias Machine = CandidateMachine
    private typealias Answer = CheckedContinuation<Result<Leadership?, LockError>, Never>

    private nonisolated let source: any ElectionSource
    private nonisolated let settings: ElectionSettings
    private nonisolated let clock: any LockClock
    private nonisolated let log = ElectionEvents()
    private nonisolated let current = Locked<Leadership?>(nil)

    private var machine = Machine()
    /// Never a candidate again.
    private var isShutDown = false
    /// Readers of the election's events, or waiters for its end.
    private var answer: Answer?
    private var body: (@Sendable (Leadership) async throws -> Void)?
    private var limit: Duration?
    private var failure: LockError?
    /// Of the campaign or leadership of this term.
    private var contention: Task<Void, Never>?
    private var letGo: AsyncStream<Never>.Continuation?
    private var record: LeaseRecord?
    private var work: Task<Void, Never>?
    private var end: LeadershipEnd?
    private var watches: [Task<Void, Never>] = []
    private var rest: Task<Void, Never>?
    private var lastToken: FencingToken?
    private var overdueTimer: Task<Void, Never>?
    /// What to release when work that ran too long has ended.
    private var abandoned: [UInt64: AsyncStream<Never>.Continuation] = [:]
    private var waiters:
        [(until: @Sendable (CandidateMachine.Phase) -> Bool, continuation: CheckedContinuation<Void, Never>)] =
            []

    /// The candidates whose bodies the current task runs in.
    @TaskLocal private static var inside: Set<ObjectIdentifier> = []

    package init(_ source: any ElectionSource, _ settings: ElectionSettings, clock: any LockClock) {
        (self.source, self.settings, self.clock) = (source, settings, clock)
    }

    // MARK: From outside

    /// The leadership of this moment.
    package nonisolated var leadership: Leadership? { current.withLock { $0 } }
    /// What happens from now on.
    package nonisolated var events: AsyncStream<ElectionEvent> { log.subscribe() }

    package func run(_ body: @escaping @Sendable (Leadership) async throws -> Void) async throws(LockError) {
        guard !isShutDown else { return }
        try begin()
        self.body = body
        limit = nil
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (answer: Answer) in
                self.answer = answer
                feed(.start(repeats: true))
            }
        } onCancel: {
            Task { await self.stop(.stopped) }
        }
        _ = try result.get()
    }

    package func campaign(within limit: Duration?) async throws(LockError) -> Leadership {
        guard !isShutDown else { throw wasShutDown }
        try begin()
        body = nil
        self.limit = limit
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (answer: Answer) in
                self.answer = answer
                feed(.start(repeats: false))
            }
        } onCancel: {
            Task { await self.cancelCampaign() }
        }
        guard let leadership = try result.get() else { throw isShutDown ? wasShutDown : .cancelled(source.name) }
        return leadership
    }

    private var wasShutDown: LockError {
        LockError(.shutDown, "this candidate for \(source.name) was shut down; make another one")
    }

    private func begin() throws(LockError) {
        guard machine.phase == .idle else {
            throw LockError(
                .alreadyRunning,
                "this candidate for \(source.name) campaigns or leads already; resign first, or make another candidate")
        }
        (failure, end) = (nil, nil)
    }

    /// The caller of a won campaign ends it.
    private func cancelCampaign() { if answer != nil { stop(.stopped) } }

    /// Asks for the end. An end that was asked for before, for another reason, has a time limit from now on.
    private func stop(_ cause: LeadershipEnd.Kind) {
        feed(.asked(cause))
        switch machine.phase {
        case .releasing(.stopped), .leaving(.stopped): startOverdueTimer()
        default: break
        }
    }

    /// Ends the candidacy or the leadership, for good: see ``Election/shutdown()``.
    package func shutdown() async {
        isShutDown = true
        await ask(.stopped)
    }

    /// Ends the candidacy or the leadership for this reason; returns when that is done, to the body itself at once.
    package func ask(_ cause: LeadershipEnd.Kind) async {
        stop(cause)
        guard !Self.inside.contains(ObjectIdentifier(self)) else { return }
        let until: @Sendable (CandidateMachine.Phase) -> Bool
        if cause == .ceded {
            until = { phase in
                switch phase {
                case .idle, .campaigning, .resting, .withdrawing: true
                case .leading, .ending, .releasing, .leaving: false
                }
            }
        } else {
            until = { $0 == .idle }
        }
        guard !until(machine.phase) else { return }
        await withCheckedContinuation { waiters.append((until, $0)) }
    }

    // MARK: The machine

    private func feed(_ event: CandidateMachine.Event, of term: UInt64? = nil) {
        for action in machine.handle(event, of: term) { perform(action) }
        let phase = machine.phase
        let done = waiters.filter { $0.until(phase) }
        guard !done.isEmpty else { return }
        waiters.removeAll { $0.until(phase) }
        for waiter in done { waiter.continuation.resume() }
    }

    private func perform(_ action: CandidateMachine.Action) {
        switch action {
        case .contend: contend()
        case .cancelCampaign:
            contention?.cancelElsewhere()
            startOverdueTimer()
        case .startWork: startWork()
        case .cancelWork(let cause): cancelWork(cause)
        case .release:
            endWatches()
            letGo?.finish()
            if machine.phase == .releasing(.stopped) { startOverdueTimer() }
        case .leave: leave()
        case .backOff(let attempt):
            rest(GrowingDelay(settings.backoff).delay(before: attempt), mayEndEarly: false)
        case .standAside: rest(source.hasLine ? .zero : settings.standAside, mayEndEarly: true)
        case .cancelRest: rest?.cancelElsewhere()
        case .tellOverdue: tell(.overdue)
        case .abandon:
            abandoned[machine.term] = letGo
            current.withLock { $0 = nil }
            endWatches()
        case .finish(let ending): finish(ending)
        }
    }

    private func tell(_ kind: ElectionEvent.Kind, duration: Duration? = nil, error: LockError? = nil) {
        log.send(
            ElectionEvent(kind, at: clock.now, token: record?.token, end: end, duration: duration, error: error))
    }

    // MARK: Campaigning

    private func contend() {
        let term = machine.term
        (record, end) = (nil, nil)
        let (end, letGo) = AsyncStream.makeStream(of: Never.self)
        self.letGo = letGo
        tell(.campaigning)
        // Only this task has the held lock, from the grant to the release.
        contention = Task { [source, limit] in
            do throws(LockError) {
                let held = try await source.acquire(within: limit)
                if self.elected(held.lease, term) { for await _ in end {} }
                try? await held.release()
                if self.released(term) { await source.leave() }
            } catch {
                self.refused(error, term)
            }
        }
    }

    /// False when the leadership is no longer needed.
    private func elected(_ lease: Lease, _ term: UInt64) -> Bool {
        guard term == machine.term, machine.phase == .campaigning || machine.isWithdrawing else { return false }
        record = lease.record
        lastToken = lease.fencingToken
        feed(.elected, of: term)
        return true
    }

    private func refused(_ error: LockError, _ term: UInt64) {
        guard term == machine.term else { return }
        failure = error
        if error.code != .cancelled { tell(.failed, error: error) }
        let mayRetry = [.unreachable, .limitExceeded, .timedOut, .lost, .notOwner].contains(error.code)
        feed(.refused(mayRetry: mayRetry), of: term)
    }

    /// True when no one is left to let others past: the work went on after its candidacy.
    private func released(_ term: UInt64) -> Bool {
        guard term == machine.term else { return false }
        guard machine.phase != .idle else { return true }
        var wasSteady = false
        if case .releasing = machine.phase, let record {
            wasSteady = record.heldFor >= settings.steadyAfter
            if work != nil { tell(.ended, duration: record.heldFor) }
        }
        work = nil
        current.withLock { $0 = nil }
        feed(.released(wasSteady: wasSteady), of: term)
        return false
    }

    private func leave() {
        let term = machine.term
        Task { [source] in
            await source.leave()
            self.feed(.left, of: term)
        }
    }

    private func rest(_ delay: Duration, mayEndEarly: Bool) {
        let term = machine.term
        guard delay > .zero else { return feed(.rested, of: term) }
        (record, end) = (nil, nil)
        tell(.resting, duration: delay)
        let until = clock.now.after(delay)
        let token = mayEndEarly ? lastToken : nil
        rest = Task { [clock, source] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await clock.sleep(until: until) }
                if let token { group.addTask { await source.successor(of: token) } }
                await group.next()
                group.cancelAll()
            }
            guard !Task.isCancelled else { return }
            self.feed(.rested, of: term)
        }
    }

    private func finish(_ ending: CandidateMachine.Ending) {
        overdueTimer?.cancel()
        tell(.withdrawn)
        body = nil
        guard let answer else { return }
        self.answer = nil
        answer.resume(returning: result(ending))
    }

    private func result(_ ending: CandidateMachine.Ending) -> Result<Leadership?, LockError> {
        switch ending {
        case .refused: return .failure(failure ?? LockError(.internalError, "a campaign was refused without a reason"))
        case .over(.unhealthy):
            return .failure(
                LockError(.unhealthy, "the leader of \(source.name) made no progress, and has resigned"))
        case .over: return .success(nil)
        case .overdue:
            return .failure(
                LockError(
                    .timedOut,
                    """
                    the leader of \(source.name) was stopped, and has not ended within \(settings.stopTimeout.readable): \
                    its body ignores cancellation, or the broker does not answer; what it holds ends with the process
                    """))
        }
    }

    // MARK: Leading

    private func startWork() {
        guard let record else { preconditionFailure("elected without a lease") }
        let term = machine.term
        let lease = Lease(record)
        let leadership = Leadership(lease, Leadership.Progress(), self)
        current.withLock { $0 = leadership }
        tell(.elected)
        source.onRecall(lease) { reason, until in
            leadership.progress.endsBy.withLock { $0 = until }
            Task { await self.lost(reason, term) }
        }
        record.onLoss { reason in Task { await self.lost(reason, term) } }
        watches = LeadershipWatch(leadership: leadership, settings: settings, clock: clock).start(
            givesNotice: body != nil, onLoss: { await self.lost($0, term) }, onUnhealthy: { await self.unhealthy(term) }
        )
        guard let body else {
            // The caller leads by itself.
            work = Task {}
            answer?.resume(returning: .success(leadership))
            answer = nil
            return
        }
        let inside = Self.inside.union([ObjectIdentifier(self)])
        work = Task {
            await Self.$inside.withValue(inside) {
                do {
                    try await body(leadership)
                    self.workEnded(.finished, nil, term)
                } catch {
                    self.workEnded(.failed, error, term)
                }
            }
        }
    }

    private func cancelWork(_ cause: LeadershipEnd.Kind) {
        let end = end ?? LeadershipEnd(cause)
        self.end = end
        current.withLock { $0 }?.progress.end.withLock { $0 = end }
        tell(.ending)
        guard body != nil else { return feed(.workEnded(.finished), of: machine.term) }
        work?.cancelElsewhere()
        startOverdueTimer()
    }

    private func workEnded(_ kind: LeadershipEnd.Kind, _ error: (any Error)?, _ term: UInt64) {
        if let letGo = abandoned.removeValue(forKey: term) { return letGo.finish() }
        guard term == machine.term else { return }
        if let end {
            self.end = LeadershipEnd(end.kind, reason: end.reason, error: error)
        } else {
            end = LeadershipEnd(kind, error: error)
        }
        overdueTimer?.cancel()
        feed(.workEnded(kind), of: term)
    }

    private func lost(_ reason: LossReason, _ term: UInt64) {
        guard term == machine.term, machine.phase == .leading else { return }
        end = LeadershipEnd(.lost, reason: reason)
        // An end caused by the broker's own behavior or by an operator says nothing about this candidate.
        let isFlap = ![.partitionRevoked, .askedToYield, .holdLimit].contains(reason.kind)
        feed(.lost(isFlap: isFlap), of: term)
    }

    private func unhealthy(_ term: UInt64) { feed(.unhealthy, of: term) }

    private func endWatches() {
        // A probe is user code.
        for watch in watches { watch.cancelElsewhere() }
        watches = []
    }

    private func startOverdueTimer() {
        overdueTimer?.cancel()
        let term = machine.term
        let until = clock.now.after(settings.stopTimeout)
        overdueTimer = Task { [clock] in
            do { try await clock.sleep(until: until) } catch { return }
            self.feed(.overdue, of: term)
        }
    }
}

extension CandidateMachine {
    fileprivate var isWithdrawing: Bool { if case .withdrawing = phase { true } else { false } }
}
