import MQLock

/// The place where one check runs: its candidates, the stage that their bodies stand on, and time limits.
final class ElectionBench<Candidate: Election>: Sendable {
    let subject: ElectionSubject<Candidate>
    let name: LockName
    let stage: ElectionStage
    let pace: Pace
    private let made = Locked<[Player]>([])

    init(_ subject: ElectionSubject<Candidate>, name: LockName) {
        (self.subject, self.name) = (subject, name)
        stage = ElectionStage(clock: subject.clock)
        pace = Pace(
            clock: subject.clock, move: subject.pass, handOverLimit: subject.handOverLimit, patience: subject.patience,
            goesOn: true)
    }

    /// Only the checks about waits depend on waits.
    var settings: ElectionSettings {
        ElectionSettings(
            backoff: .milliseconds(50) ... .milliseconds(400), steadyAfter: .seconds(3600),
            standAside: subject.handOverLimit)
    }

    func player(_ owner: String, _ settings: ElectionSettings? = nil) async throws -> Player {
        let player = try await make(owner, settings ?? self.settings)
        made.withLock { $0.append(player) }
        return player
    }

    private func make(_ owner: String, _ settings: ElectionSettings) async throws -> Player {
        let options = ElectionSubject<Candidate>.Options(name: name, owner: owner, settings: settings)
        let election = try await pace.within("a candidate") { [subject] in try await subject.make(options) }
        return Player(owner: owner, election: election, stage: stage)
    }

    func close() async {
        let players = made.withLock { $0 }
        for player in players {
            player.stop()
            player.order(.obey)
        }
        for player in players {
            if let heal = subject.heal { try? await heal(player.election) }
        }
        for player in players { await subject.close(player.election) }
    }

    /// The next leadership of any of these that begins after the first `count`.
    func next(after count: Int, _ what: String) async throws -> ElectionStage.Entry {
        let entry = try await pace.passing(what, upTo: subject.handOverLimit * 3) { [stage] in
            await stage.entries.first { $0.number > count }
        }
        guard let entry else { throw CancellationError() }
        return entry
    }

    /// The next leadership of this player.
    func next(_ player: Player, after count: Int, _ what: String) async throws -> ElectionStage.Entry {
        let entry = try await pace.passing(what, upTo: subject.handOverLimit * 3) { [stage] in
            await stage.entries.first { $0.number > count && $0.owner == player.owner }
        }
        guard let entry else { throw CancellationError() }
        return entry
    }

    func inLine(_ count: Int) async throws {
        try await pace.passing("\(count) candidates to stand in line", upTo: subject.handOverLimit * 3) {
            [subject, name] in try await subject.inLine(name, count)
        }
    }

    /// Two candidates of which one leads and the other stands in line.
    func pair(
        _ settings: ElectionSettings? = nil
    ) async throws -> (leader: Player, other: Player, entry: ElectionStage.Entry) {
        let first = try await player("first", settings)
        let second = try await player("second", settings)
        first.run()
        var entry = try await next(after: 0, "the first leader")
        second.run()
        try await inLine(2)
        if subject.joiningInterrupts {
            // Whichever it is, after the newcomer has been let in.
            entry = try await pace.within("a leader among two") { [stage] in
                while true {
                    if let entry = stage.current, entry.leadership.isValid { return entry }
                    try await Task.sleep(for: .milliseconds(2))
                }
            }
        }
        return entry.owner == first.owner ? (first, second, entry) : (second, first, entry)
    }

    /// Its run has ended without an error, and it is never a candidate again.
    func isShutDown(_ player: Player) async throws {
        let error = try await pace.within("the end of run", player.ended)
        try require(error == nil, "run threw \(String(describing: error))")
        let again = try await pace.within("a run after the shutdown") {
            player.run()
            return await player.ended()
        }
        try require(again == nil, "run threw \(String(describing: again)) after the shutdown")
        let refusal = try await pace.within("a campaign after the shutdown") {
            () async -> LockError? in
            do throws(LockError) {
                _ = try await player.election.campaign(within: nil)
                return nil
            } catch {
                return error
            }
        }
        try require(refusal?.code == .shutDown, "a campaign ended with \(String(describing: refusal))")
    }

    func require(_ condition: Bool, _ message: @autoclosure () -> String) throws {
        guard condition else { throw Unmet(message()) }
    }

    func need<Value>(_ fault: Value?, _ name: String) throws -> Value {
        guard let fault else { throw NotTried("this environment has no way to \(name)") }
        return fault
    }

    // MARK: Players

    /// A candidate whose body stands on the stage until it gets another order.
    final class Player: Sendable {
        enum Order: Sendable {
            case finish, fail
            /// Ignore cancellation, and obey it again.
            case ignore, obey
        }

        let owner: String
        let election: Candidate
        let log = Replay<ElectionEvent>()
        private let stage: ElectionStage
        private let task = Locked<Task<(any Error)?, Never>?>(nil)
        private let listening: Task<Void, Never>
        private let orders = Locked<AsyncStream<Order>.Continuation?>(nil)
        private let isDeaf = Locked(false)
        private let hearing = Replay<Void>()
        /// What each leadership does at once.
        let habit = Locked<(@Sendable (Leadership) async throws -> Void)?>(nil)
        /// What the body's cancellation handler does, which may block.
        let onCancel = Locked<(@Sendable () -> Void)?>(nil)

        init(owner: String, election: Candidate, stage: ElectionStage) {
            (self.owner, self.election, self.stage) = (owner, election, stage)
            let events = election.events
            listening = Task { [log] in for await event in events { log.send(event) } }
        }

        deinit { listening.cancel() }

        func run() {
            let task = Task { [election, body] () -> (any Error)? in
                do {
                    try await election.run(body)
                    return nil
                } catch {
                    return error
                }
            }
            self.task.withLock { $0 = task }
        }

        func stop() { task.withLock { $0 }?.cancel() }

        /// The error of `run`.
        func ended() async -> (any Error)? { await task.withLock { $0 }?.value }

        func order(_ order: Order) {
            switch order {
            case .ignore: isDeaf.withLock { $0 = true }
            case .obey:
                isDeaf.withLock { $0 = false }
                hearing.send(())
            case .finish, .fail: orders.withLock { $0 }?.yield(order)
            }
        }

        private func body(_ leadership: Leadership) async throws {
            // A task that has to wait for its own handler blocks, and must not do so on a thread of the pool.
            try await withTaskExecutorPreference(OwnThread()) {
                try await withTaskCancellationHandler {
                    try await stand(leadership)
                } onCancel: {
                    onCancel.withLock { $0 }?()
                }
            }
        }

        private func stand(_ leadership: Leadership) async throws {
            let (stream, continuation) = AsyncStream.makeStream(of: Order.self)
            orders.withLock { $0 = continuation }
            stage.enter(owner, leadership)
            defer { stage.leave(owner, leadership) }
            if let habit = habit.withLock({ $0 }) { try await habit(leadership) }
            for await order in stream {
                if case .fail = order { throw BodyError() }
                return
            }
            // Cancelled.
            if isDeaf.withLock({ $0 }) { _ = await Task { [hearing] in await hearing.first { true } }.value }
            throw BodyError()
        }
    }

    struct BodyError: Error {}
}

/// Where the bodies of leaders stand: one at a time.
final class ElectionStage: Sendable {
    struct Entry: Sendable {
        /// From 1.
        let number: Int
        let owner: String
        let leadership: Leadership
        let at: ContinuousClock.Instant
        /// Since the end of the last body; negative when that goes on.
        let gap: Duration?
    }

    struct Exit: Sendable {
        let owner: String
        let token: FencingToken
        let wasValid: Bool
        let at: ContinuousClock.Instant
    }

    private struct State {
        var current: Entry?
        var count = 0
        var lastExit: ContinuousClock.Instant?
        var overlapped: Entry?
        var gaps: [Duration] = []
        var violations: [String] = []
        var lastToken: FencingToken?
    }

    let entries = Replay<Entry>()
    let exits = Replay<Exit>()
    private let clock: any LockClock
    private let state = Locked(State())
    /// How long two may stand there; not at all by default.
    let tolerance = Locked<Duration?>(nil)

    init(clock: any LockClock) { self.clock = clock }

    var current: Entry? { state.withLock { $0.current } }
    var count: Int { state.withLock { $0.count } }
    var gaps: [Duration] { state.withLock { $0.gaps } }

    func enter(_ owner: String, _ leadership: Leadership) {
        let entry = state.withLock { state in
            let now = clock.now
            state.count += 1
            let gap = state.current == nil ? state.lastExit?.duration(to: now) : nil
            let entry = Entry(number: state.count, owner: owner, leadership: leadership, at: now, gap: gap)
            if let gap { state.gaps.append(gap) }
            // Until the other leaves, the length is unknown.
            if let other = state.current {
                state.overlapped = entry
                if tolerance.withLock({ $0 }) == nil {
                    state.violations.append("\(owner)'s body began beside \(other.owner)'s")
                }
            }
            if let last = state.lastToken, leadership.fencingToken <= last {
                state.violations.append("\(owner) leads with \(leadership.fencingToken) after \(last)")
            }
            state.lastToken = leadership.fencingToken
            state.current = entry
            return entry
        }
        entries.send(entry)
    }

    func leave(_ owner: String, _ leadership: Leadership) {
        let wasValid = leadership.isValid
        let exit = state.withLock { state in
            let now = clock.now
            if let overlapped = state.overlapped, overlapped.leadership.lease.id != leadership.lease.id {
                let overlap = overlapped.at.duration(to: now)
                state.gaps.append(.zero - overlap)
                if let tolerance = tolerance.withLock({ $0 }), overlap > tolerance {
                    state.violations.append(
                        "the body of \(owner) went on \(overlap.readable) into \(overlapped.owner)'s")
                }
                state.overlapped = nil
            } else {
                state.current = nil
            }
            state.lastExit = now
            return Exit(owner: owner, token: leadership.fencingToken, wasValid: wasValid, at: now)
        }
        exits.send(exit)
    }

    func check() throws {
        if let violation = state.withLock({ $0.violations.first ?? ($0.overlapped.map { "\($0.owner) is not alone" }) })
        {
            throw Unmet(violation)
        }
    }

    /// What happened, for a failure's message.
    var story: String {
        let turns = entries.soFar.map { "\($0.owner) \($0.leadership.fencingToken)" }
        return turns.isEmpty ? "" : " (leaders: \(turns.joined(separator: ", ")))"
    }
}
