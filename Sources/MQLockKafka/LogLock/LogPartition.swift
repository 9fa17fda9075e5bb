import MQLock

/// The contenders of one partition, from session to session. It starts a session when a lock is to be acquired, puts
/// waiters back in line when a session ends, and writes the ended session's last record once nothing acts on its leases
/// any more. A pure value.
struct LogPartition: Sendable {
    typealias Moment = LogSession.Moment

    struct Settings: Sendable {
        var session: LogSession.Settings
        var backoff: GrowingDelay
        var makeID: @Sendable () -> RandomID = { RandomID() }
    }

    enum Effect: Sendable, Equatable {
        /// Looks at the log's bounds and last records.
        case ask
        /// Continues to read from this offset, and from nowhere else.
        case seek(Int64)
        case stopReading
        case write(LogRecord)
        case proven(until: ContinuousClock.Instant, sentAt: ContinuousClock.Instant)
        case suspect(Bool)
        case granted(UInt64, token: UInt64)
        case refused(UInt64)
        /// The place is gone, or the session that it belonged to.
        case left(UInt64)
        case lost(UInt64, LossReason)
        case marks(UInt64, [DoneMark])
        case marked(UInt64)
        case failed(UInt64, LockError.Code, String)
        case foreign(offset: Int64)
        /// The session has ended, with all its leases.
        case ended(LossReason)
        /// No session came up, with the reason.
        case notStarted(String)
    }

    enum Phase: Sendable {
        /// No contender. To `asking`.
        case idle
        /// To `starting`, `pausing`, `idle`.
        case asking
        /// To `open`, `pausing`, `idle`.
        case starting(LogStart, until: ContinuousClock.Instant)
        /// To `pausing`, `idle`.
        case open(LogSession)
        /// To `asking`.
        case pausing(until: ContinuousClock.Instant)
    }

    struct Contender: Sendable {
        let name: LockName
        let isTry: Bool
    }

    let settings: Settings
    private(set) var phase = Phase.idle
    private(set) var waiting: [UInt64: Contender] = [:]
    /// Granted and not released yet, even if the lease is lost.
    private(set) var held: Set<UInt64> = []
    /// Released, but not all readers have seen it.
    private var leaving: Set<UInt64> = []
    /// Requests for marks that are not answered.
    private(set) var requests: [UInt64: MarkRequest] = [:]
    /// Those of them that a session has written.
    private var written: Set<UInt64> = []
    /// Sessions that have ended, with those of their leases whose holders still work.
    private var ended: [RandomID: Set<UInt64>] = [:]
    private var failures = 0
    /// New contenders are turned away.
    private(set) var isStopped = false

    init(_ settings: Settings) { self.settings = settings }

    var session: LogSession? { if case .open(let session) = phase { session } else { nil } }
    /// Asked before a change of the session. Within a `switch` over the phase there would be a second reference to all
    /// tables of the session, and changing them would copy them.
    private var isOpen: Bool { if case .open = phase { true } else { false } }
    private var isNeeded: Bool { !waiting.isEmpty || !requests.isEmpty }

    // MARK: Contenders

    mutating func want(_ attempt: UInt64, _ name: LockName, isTry: Bool, at moment: Moment) -> [Effect] {
        guard !isStopped else { return [.failed(attempt, .shutDown, "the provider was shut down")] }
        waiting[attempt] = Contender(name: name, isTry: isTry)
        if isOpen { return inSession(at: moment) { $0.want(attempt, name, isTry: isTry, at: moment) } }
        return begin()
    }

    private mutating func begin() -> [Effect] {
        guard case .idle = phase else { return [] }
        phase = .asking
        return [.ask]
    }

    /// Ends a wait or a hold: its work on the lease has ended.
    mutating func leave(_ attempt: UInt64, at moment: Moment) -> [Effect] {
        if waiting.removeValue(forKey: attempt) != nil {
            return inSession(at: moment) { $0.leave(attempt, at: moment) }
        }
        if held.remove(attempt) != nil {
            leaving.insert(attempt)
            let effects = inSession(at: moment) { $0.leave(attempt, at: moment) }
            // The session does not have it any more.
            if session?.attempts[attempt] == nil, leaving.remove(attempt) != nil { return effects + [.left(attempt)] }
            return effects
        }
        for (id, attempts) in ended where attempts.contains(attempt) {
            ended[id]?.remove(attempt)
            return [.left(attempt)] + closeEnded(id, at: moment)
        }
        return [.left(attempt)]
    }

    /// Reads marks, or writes one. A mark is written even while waiters are turned away.
    mutating func request(_ number: UInt64, _ request: MarkRequest, at moment: Moment) -> [Effect] {
        guard !isStopped || !request.isRead else { return [.failed(number, .shutDown, "the provider was shut down")] }
        requests[number] = request
        guard isOpen else { return begin() }
        if !request.isRead { written.insert(number) }
        return inSession(at: moment) { $0.request(number, request, at: moment) }
    }

    mutating func giveUpRequest(_ number: UInt64, at moment: Moment) -> [Effect] {
        (requests[number], written) = (nil, written.subtracting([number]))
        return inSession(at: moment) { $0.giveUpRequest(number, at: moment) }
    }

    // MARK: Events

    mutating func tick(at moment: Moment) -> [Effect] {
        if isOpen { return inSession(at: moment) { $0.tick(at: moment) } }
        switch phase {
        case .pausing(let until) where until <= moment.now:
            phase = isNeeded ? .asking : .idle
            return isNeeded ? [.ask] : []
        case .starting(_, let until) where until <= moment.now:
            return notStarted("the log could not be read in time", at: moment)
        case .idle, .asking, .starting, .open, .pausing: return []
        }
    }

    /// When ``tick(at:)`` has something to do.
    func deadline(at now: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        switch phase {
        case .idle, .asking: nil
        case .pausing(let until), .starting(_, let until): until
        case .open(let session): session.deadline(at: now)
        }
    }

    /// The answer to ``Effect/ask``.
    mutating func answered(_ look: LogLook, at moment: Moment) -> [Effect] {
        guard case .asking = phase else { return [] }
        var start = LogStart(look)
        let step = start.begin(at: moment.now)
        phase = .starting(start, until: moment.now.after(max(settings.session.ttl, .seconds(10))))
        return take(step, at: moment)
    }

    /// There is no answer to ``Effect/ask``.
    /// - Parameter code: what all contenders get, when another try would not help.
    mutating func notAnswered(_ text: String, final code: LockError.Code?, at moment: Moment) -> [Effect] {
        guard case .asking = phase else { return [] }
        if let code { return failAll(code, text) + [.notStarted(text)] }
        return notStarted(text, at: moment)
    }

    mutating func read(_ entry: LogEntry, at moment: Moment) -> [Effect] {
        if isOpen { return inSession(at: moment) { $0.read(entry, at: moment) } }
        guard case .starting(var start, let until) = phase else { return [] }
        phase = .idle
        let step = start.read(entry, at: moment.now)
        phase = .starting(start, until: until)
        return take(step, at: moment)
    }

    /// There is nothing to read before this offset.
    mutating func reachedEnd(_ offset: Int64, at moment: Moment) -> [Effect] {
        guard case .starting(var start, let until) = phase else { return [] }
        phase = .idle
        let step = start.reached(offset, at: moment.now)
        phase = .starting(start, until: until)
        return take(step, at: moment)
    }

    /// The next record does not exist any more.
    mutating func lostPlace(at moment: Moment) -> [Effect] {
        if case .starting = phase { return notStarted("records were deleted while they were read", at: moment) }
        return inSession(at: moment) { $0.lostPlace() }
    }

    mutating func failed(_ number: UInt64, at moment: Moment) -> [Effect] {
        inSession(at: moment) { $0.failed(number, at: moment) }
    }

    /// Another thread has seen the proof's end before.
    mutating func proofEnded(at moment: Moment) -> [Effect] { inSession(at: moment) { $0.proofEnded() } }

    /// Turns waiters away.
    mutating func turnAway(at moment: Moment) -> [Effect] {
        isStopped = true
        let waiters = waiting.keys.sorted()
        let readers = requests.filter(\.value.isRead).keys.sorted()
        return waiters.flatMap { leave($0, at: moment) + [.failed($0, .shutDown, "the provider was shut down")] }
            + readers.flatMap {
                giveUpRequest($0, at: moment) + [.failed($0, .shutDown, "the provider was shut down")]
            }
    }

    /// Ends the session; what is still held is lost.
    mutating func stop(at moment: Moment) -> [Effect] {
        isStopped = true
        let effects = inSession(at: moment) { session in
            // Holders have had their time. What they still hold passes on only when their work has ended.
            session.close(at: moment)
        }
        phase = .idle
        return effects + failRequests(.shutDown, "the provider was shut down")
    }

    // MARK: Sessions

    private mutating func take(_ step: LogStart.Step, at moment: Moment) -> [Effect] {
        switch step {
        case .goesOn: return []
        case .seek(let offset): return [.seek(offset)]
        case .again: return notStarted("what was to be read is not there any more", at: moment)
        case .newer(let version): return failAll(.incompatible, Self.newer(version)) + [.stopReading]
        case .shards: return failAll(.incompatible, Self.isOfShards) + [.stopReading]
        case .ready(let view):
            var session = LogSession(settings.makeID(), settings.session, view, at: moment)
            var effects = session.begin(at: moment)
            for (attempt, contender) in waiting.sorted(by: { $0.key < $1.key }) {
                effects += session.want(attempt, contender.name, isTry: contender.isTry, at: moment)
            }
            for (number, request) in requests.sorted(by: { $0.key < $1.key }) {
                if !request.isRead { written.insert(number) }
                effects += session.request(number, request, at: moment)
            }
            // An empty log has no offset that was read from.
            let next = view.table.next
            phase = .open(session)
            return [.seek(next)] + translate(effects, at: moment)
        }
    }

    private mutating func inSession(
        at moment: Moment, _ body: (inout LogSession) -> [LogSession.Effect]
    ) -> [Effect] {
        guard case .open(var session) = phase else { return [] }
        phase = .idle
        let effects = body(&session)
        phase = .open(session)
        return translate(effects, at: moment)
    }

    private mutating func translate(_ effects: [LogSession.Effect], at moment: Moment) -> [Effect] {
        effects.flatMap { translate($0, at: moment) }
    }

    private mutating func translate(_ effect: LogSession.Effect, at moment: Moment) -> [Effect] {
        switch effect {
        case .write(let record): return [.write(record)]
        case .proven(let until, let sentAt): return [.proven(until: until, sentAt: sentAt)]
        case .suspect(let isSuspect): return [.suspect(isSuspect)]
        case .foreign(let offset): return [.foreign(offset: offset)]
        case .granted(let attempt, let token):
            failures = 0
            waiting[attempt] = nil
            held.insert(attempt)
            return [.granted(attempt, token: token)]
        case .refused(let attempt):
            failures = 0
            return waiting.removeValue(forKey: attempt) == nil ? [] : [.refused(attempt)]
        case .marks(let number, let marks): return endRequest(number) ? [.marks(number, marks)] : []
        case .marked(let number): return endRequest(number) ? [.marked(number)] : []
        case .left(let attempt): return leaving.remove(attempt) == nil ? [] : [.left(attempt)]
        case .askedToYield(let attempt, let from):
            return held.contains(attempt) ? [.lost(attempt, LossReason(.askedToYield, from))] : []
        case .lost(let attempt):
            return held.contains(attempt) ? [.lost(attempt, LossReason(.forced, "its place was taken away"))] : []
        case .ended(let end): return sessionEnded(end, at: moment)
        }
    }

    private mutating func sessionEnded(_ end: LogSession.End, at moment: Moment) -> [Effect] {
        guard let session else { return [] }
        let reason = end.reason
        var effects: [Effect] = held.sorted().map { .lost($0, reason) }
        effects += leaving.sorted().map { .left($0) }
        effects.append(.ended(reason))
        ended[session.id] = held
        (held, leaving) = ([], [])
        if end.isClosed {
            ended[session.id] = ended[session.id].flatMap { $0.isEmpty ? nil : $0 }
        } else {
            effects += closeEnded(session.id, at: moment)
        }
        if let code = end.finalCode { return effects + failAll(code, reason.detail) + [.stopReading] }
        effects += failTries(reason.description)
        guard isNeeded else {
            phase = .idle
            return effects + [.stopReading]
        }
        pause(at: moment)
        return effects + [.stopReading]
    }

    /// The last record of a session that has ended. Nothing acts on its leases any more, so nobody has to wait for its
    /// expiry.
    private mutating func closeEnded(_ id: RandomID, at moment: Moment) -> [Effect] {
        guard ended[id]?.isEmpty ?? false else { return [] }
        ended[id] = nil
        return [
            .write(
                LogRecord(
                    number: LogNumber.of(moment.wall) + 1, applied: -1, hash: 0, snapshot: nil, body: .close(id)))
        ]
    }

    private mutating func notStarted(_ text: String, at moment: Moment) -> [Effect] {
        pause(at: moment)
        let effects = failTries(text) + [.stopReading, .notStarted(text)]
        if !isNeeded { phase = .idle }
        return effects
    }

    private mutating func pause(at moment: Moment) {
        failures += 1
        let random = Int(settings.makeID().low % 1001)
        phase = .pausing(until: moment.now.after(settings.backoff.delay(before: failures, random: random)))
    }

    private mutating func failTries(_ text: String) -> [Effect] {
        let tries = waiting.filter(\.value.isTry).keys.sorted()
        for attempt in tries { waiting[attempt] = nil }
        return tries.map { .failed($0, .unreachable, text) }
    }

    private mutating func failAll(_ code: LockError.Code, _ text: String) -> [Effect] {
        let all = waiting.keys.sorted()
        waiting = [:]
        phase = .idle
        return all.map { .failed($0, code, text) } + failRequests(code, text)
    }

    /// Nobody knows whether a mark that was written will be read.
    private mutating func failRequests(_ code: LockError.Code, _ text: String) -> [Effect] {
        defer { (requests, written) = ([:], []) }
        return requests.keys.sorted().map { .failed($0, written.contains($0) ? .outcomeUnknown : code, text) }
    }

    /// Whether a caller waits for it.
    private mutating func endRequest(_ number: UInt64) -> Bool {
        failures = 0
        written.remove(number)
        return requests.removeValue(forKey: number) != nil
    }

    static func newer(_ version: UInt8) -> String {
        "the topic has records of format \(version), which this version of MQLock does not know: update it"
    }

    static let isOfShards = """
        the topic is one of shards, by the claims in it, and no log of locks; locks need a topic of their own (in a URI, \
        mutex=shards says that shards are meant)
        """
}
