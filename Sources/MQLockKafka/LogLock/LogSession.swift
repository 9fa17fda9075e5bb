import MQLock

/// One session of one partition: proves its life, stands in lines, expires other sessions. A pure value: records read
/// and the time go in, records and grants come out.
///
/// Overdue events are handled first, so nothing is done in the belief that the session lives, however late an event is
/// handled. A session that has ended does nothing more.
struct LogSession: Sendable {
    struct Settings: Sendable {
        var ttl: Duration
        var margin: Duration
        var partitions: UInt32
        var owner: String
        /// A session without use ends after this.
        var idle = Duration.seconds(60)
        /// After how long, or how many records, the session whose turn it is writes a snapshot: once the records have at
        /// least as many bytes as the last one, so that snapshots never make up most of the log.
        var snapshotInterval = Duration.seconds(30)
        var snapshotRecords: Int64 = 2000
        /// The size of a full chunk of a snapshot, in bytes.
        var chunkSize = LogSnapshot.chunkSize
        /// A snapshot of this age is replaced, however large it is and however few records have come since. The next
        /// session may come after almost the topic's retention, and starts from what is there.
        var snapshotAge = Duration.seconds(3600)
        /// In how many of the last records a starting reader looks for a snapshot's name.
        var tail: Int64 = 20

        /// How long a record proves its session, counted from its sending.
        var validity: Duration { ttl - margin }
    }

    /// An instant on both clocks. The time of day only numbers records.
    struct Moment: Sendable {
        var now: ContinuousClock.Instant
        /// Milliseconds since 1970.
        var wall: Int64
    }

    enum End: Sendable, Equatable {
        case proofOverdue, notOpened, expired, notWritten, gap
        case newer(version: UInt8)
        case contradicted(at: Int64)
        case otherPartitions(UInt32)
        case closed, idle
    }

    enum Effect: Sendable, Equatable {
        case write(LogRecord)
        /// The session lives until then. The record that proves it was sent at `sentAt`.
        case proven(until: ContinuousClock.Instant, sentAt: ContinuousClock.Instant)
        case suspect(Bool)
        case granted(UInt64, token: UInt64)
        /// A try found another contender.
        case refused(UInt64)
        /// A place is gone, for all readers.
        case left(UInt64)
        case askedToYield(UInt64, from: String)
        /// The place was taken away.
        case lost(UInt64)
        /// The marks of a name.
        case marks(UInt64, [DoneMark])
        /// A mark is written, for all readers.
        case marked(UInt64)
        /// A foreign record is in the log.
        case foreign(offset: Int64)
        case ended(End)
    }

    struct Attempt: Sendable {
        enum State: Sendable { case waiting, held(UInt64), leaving }
        let name: LockName
        let isTry: Bool
        let began: ContinuousClock.Instant
        var state = State.waiting
    }

    let id: RandomID
    let settings: Settings
    private(set) var view: LogView
    private(set) var end: End?
    /// Whether the session is in the table.
    private(set) var isOpen = false
    /// The end of the proof. Until the session is open, the time by which it has to be.
    private(set) var provenUntil: ContinuousClock.Instant
    var attempts: [UInt64: Attempt] = [:]
    /// Tries that found a first place with no fresh sign of life.
    var doubtful: Set<UInt64> = []
    /// Requests for marks that are not answered.
    var requests: [UInt64: MarkRequest] = [:]
    /// Own records that have not been read back, by number.
    private var unread: [UInt64: ContinuousClock.Instant] = [:]
    /// Expiries that were written: one for each last record of a session.
    private var expiries: [UInt64: (session: RandomID, seen: Int64)] = [:]
    private var lastNumber: UInt64 = 0
    private var lastWritten: ContinuousClock.Instant
    private var isSuspect = false
    var idleSince: ContinuousClock.Instant?
    /// The newest one that this session has read or written, with its size in bytes.
    var lastSnapshot: (asOf: Int64, at: ContinuousClock.Instant, size: Int)
    var needsSnapshot = false
    /// Earlier sessions that spread names over another number of partitions. Until they are gone nothing is granted,
    /// and if one of them lives this session ends.
    private(set) var elders: Set<RandomID> = []

    /// - Parameter view: at the end of the log.
    init(_ id: RandomID, _ settings: Settings, _ view: LogView, at moment: Moment) {
        self.id = id
        self.settings = settings
        self.view = view
        self.view.compares = true
        provenUntil = moment.now.after(settings.validity)
        lastWritten = moment.now
        idleSince = moment.now
        let known = view.snapshot
        lastSnapshot = (known?.name.asOf ?? view.table.next - 1, known?.at ?? moment.now, known?.size ?? 0)
    }

    // MARK: Events

    /// Writes the first record; called once.
    mutating func begin(at moment: Moment) -> [Effect] {
        [
            write(
                .open(id, ttl: settings.ttl, partitions: settings.partitions, owner: settings.owner), at: moment)
        ]
    }

    /// Stands in line. The attempt's number is used once in a session †.
    mutating func want(_ attempt: UInt64, _ name: LockName, isTry: Bool, at moment: Moment) -> [Effect] {
        living(at: moment) { session in
            session.attempts[attempt] = Attempt(name: name, isTry: isTry, began: moment.now)
            session.idleSince = nil
            return [session.write(.want(session.id, name, attempt: attempt, isTry: isTry), at: moment)]
        }
    }

    /// Removes a place, even the first: always by a record †.
    mutating func leave(_ attempt: UInt64, at moment: Moment) -> [Effect] {
        living(at: moment) { session in
            guard let entry = session.attempts[attempt] else { return [] }
            if case .leaving = entry.state { return [] }
            session.doubtful.remove(attempt)
            return [session.writeLeave(attempt, entry, at: moment)]
        }
    }

    /// A record could not be written, or nobody knows whether it was.
    mutating func failed(_ number: UInt64, at moment: Moment) -> [Effect] {
        living(at: moment) { session in
            if session.unread[number] != nil { return session.finish(.notWritten) }
            session.expiries[number] = nil
            return []
        }
    }

    /// Another thread has found that the proof has run out.
    mutating func proofEnded() -> [Effect] { end == nil ? finish(.proofOverdue) : [] }

    /// There is a gap in what was to be read.
    mutating func lostPlace() -> [Effect] { end == nil ? finish(.gap) : [] }

    /// Ends the session cleanly.
    mutating func close(at moment: Moment) -> [Effect] {
        living(at: moment) { session in
            // The leases end before others can read that.
            session.finish(.closed) + [session.write(.close(session.id), at: moment)]
        }
    }

    mutating func tick(at moment: Moment) -> [Effect] { living(at: moment) { _ in [] } }

    mutating func read(_ entry: LogEntry, at moment: Moment) -> [Effect] {
        living(at: moment) { session in session.apply(entry, at: moment) }
    }

    /// The latest time at which ``tick(at:)`` has something to do.
    func deadline(at now: ContinuousClock.Instant) -> ContinuousClock.Instant {
        var next = min(provenUntil, lastWritten.after(settings.ttl / 4))
        if !isSuspect { next = min(next, suspectAt) }
        if let idleSince { next = min(next, idleSince.after(settings.idle)) }
        if isOpen { next = min(next, snapshotDue) }
        for (other, heard) in view.heard where other != id {
            guard let session = view.table.sessions[other], !hasExpired(other, session.last) else { continue }
            let early = Self.silenceEnds(session, heard)
            next = min(next, early > now ? early : early.after(patience(towards: other, session)))
        }
        return next
    }

    // MARK: Due events

    mutating func living(at moment: Moment, _ body: (inout Self) -> [Effect]) -> [Effect] {
        guard end == nil else { return [] }
        // For good: otherwise a session that writes and cannot read would stay first in the line without end †.
        guard moment.now < provenUntil else { return finish(isOpen ? .proofOverdue : .notOpened) }
        var effects = body(&self)
        if end == nil { effects += due(at: moment) }
        return effects
    }

    private mutating func due(at moment: Moment) -> [Effect] {
        var effects: [Effect] = []
        if attempts.isEmpty, requests.isEmpty, idleSince == nil { idleSince = moment.now }
        if let idleSince, idleSince.after(settings.idle) <= moment.now {
            return finish(.idle) + [write(.close(id), at: moment)]
        }
        if !isSuspect, isOpen, suspectAt <= moment.now {
            isSuspect = true
            effects.append(.suspect(true))
        }
        if lastWritten.after(settings.ttl / 4) <= moment.now { effects.append(write(.alive(id), at: moment)) }
        for (other, heard) in view.heard where other != id {
            guard let session = view.table.sessions[other], !hasExpired(other, session.last),
                Self.silenceEnds(session, heard) <= moment.now,
                Self.silenceEnds(session, heard).after(patience(towards: other, session)) <= moment.now
            else { continue }
            effects.append(write(.expire(other, seen: session.last), at: moment))
        }
        if isOpen, needsSnapshot || snapshotDue <= moment.now || recordsSinceSnapshot >= recordsPerSnapshot {
            effects += writeSnapshot(at: moment)
        }
        return effects
    }

    private var suspectAt: ContinuousClock.Instant {
        provenUntil.before(settings.validity).after(settings.ttl / 2)
    }

    private func hasExpired(_ other: RandomID, _ seen: Int64) -> Bool {
        expiries.values.contains { $0.session == other && $0.seen == seen }
    }

    /// When a silent session is dead: it can no longer rely on its own proof.
    static func silenceEnds(
        _ session: LockTable.Session, _ heard: LogView.Heard
    ) -> ContinuousClock.Instant {
        heard.at.after(session.ttl * 11 / 10 + max(.milliseconds(200), session.ttl / 10))
    }

    /// Every session expires any other that is dead, not only the next in line †, but one after the other.
    private func patience(towards other: RandomID, _ session: LockTable.Session) -> Duration {
        session.ttl / 100 * rank(towards: other, session)
    }

    /// How many sessions expire `other` before this one does: those that wait for what it holds come first.
    private func rank(towards other: RandomID, _ session: LockTable.Session) -> Int {
        func waits(_ candidate: RandomID) -> Bool {
            guard let names = view.table.sessions[candidate]?.names else { return false }
            return !names.isDisjoint(with: session.names)
        }
        let own = waits(id)
        var rank = 0
        for candidate in view.table.sessions.keys where candidate != id && candidate != other {
            let theirs = waits(candidate)
            if theirs == own ? candidate < id : theirs { rank += 1 }
            if rank == 10 { break }
        }
        return rank
    }

    // MARK: Reading

    private mutating func apply(_ entry: LogEntry, at moment: Moment) -> [Effect] {
        let change: LockTable.Change
        switch view.read(entry, isFresh: isOpen, at: moment.now) {
        case .known: return []
        case .gap: return finish(.gap)
        case .newer(let version): return finish(.newer(version: version))
        case .contradicted(let offset): return finish(.contradicted(at: offset))
        case .applied(let applied): change = applied
        }
        guard case .record(let record) = entry.content else { return [.foreign(offset: entry.offset)] }
        var effects: [Effect] = []
        if record.provenSession == id {
            // Only a record that took effect proves †, counted from its sending: neither from its acknowledgement † nor
            // from now †.
            if change.proven == id {
                if !isOpen { effects += opened(entry.timestamp, at: moment) }
                if let sent = unread.removeValue(forKey: record.number) { effects += prove(sent) }
            }
        }
        if end != nil { return effects }
        if let elder = change.proven, elders.contains(elder) { return effects + refuseSpread(of: elder) }
        if let gone = change.gone {
            if gone == id { return effects + finish(.expired) }
            expiries = expiries.filter { $0.value.session != gone }
            // All names that waited for this, except those that this record has promoted itself.
            if elders.remove(gone) != nil, elders.isEmpty {
                for name in Set(attempts.values.map(\.name)) { effects += promoted(name) }
                effects += answerReads()
            }
        }
        for name in change.promoted { effects += promoted(name) }
        if change.hasEffect { effects += settleWrites(record) }
        effects += settle(record, at: moment)
        for attempt in doubtful.sorted() { effects += settleTry(attempt, at: moment) }
        return effects
    }

    /// The session is in the table.
    /// - Parameter timestamp: of its first record, by the broker's clock.
    private mutating func opened(_ timestamp: Int64, at moment: Moment) -> [Effect] {
        isOpen = true
        // The next session starts from the newest snapshot, or from the first record. When that is gone, the marks are
        // gone too.
        let start = view.snapshot?.timestamp ?? (view.startedAtZero ? view.oldest : nil)
        let limit = settings.snapshotAge.nanoseconds / 1_000_000
        needsSnapshot = start.map { $0 < timestamp - limit } ?? true
        elders = Set(
            view.table.sessions.filter { $0.key != id && $0.value.partitions != settings.partitions }.keys)
        guard let living = elders.first(where: { isKnownToLive($0, since: moment.now, at: moment) }) else {
            return answerReads()
        }
        return refuseSpread(of: living)
    }

    /// Names are spread differently: contenders for the same name would be on different partitions.
    private mutating func refuseSpread(of elder: RandomID) -> [Effect] {
        finish(.otherPartitions(view.table.sessions[elder]?.partitions ?? 0))
    }

    private mutating func prove(_ sent: ContinuousClock.Instant) -> [Effect] {
        let until = sent.after(settings.validity)
        guard end == nil, until >= provenUntil else { return [] }
        provenUntil = until
        guard isSuspect else { return [.proven(until: until, sentAt: sent)] }
        isSuspect = false
        return [.proven(until: until, sentAt: sent), .suspect(false)]
    }

    // MARK: Writing

    mutating func write(_ body: LogRecord.Body, at moment: Moment) -> Effect {
        // Above all numbers seen: two records of a session never have the same number.
        let number = max(LogNumber.of(moment.wall), view.table.highest, lastNumber) &+ 1
        lastNumber = number
        let record = LogRecord(
            number: number, applied: view.table.next - 1, hash: view.table.hash, snapshot: view.snapshot?.name,
            body: body)
        if record.provenSession == id {
            unread[number] = moment.now
            lastWritten = moment.now
        }
        if case .expire(let other, let seen) = body { expiries[number] = (other, seen) }
        return .write(record)
    }

    mutating func writeLeave(_ attempt: UInt64, _ entry: Attempt, at moment: Moment) -> Effect {
        attempts[attempt] = entry
        attempts[attempt]?.state = .leaving
        return write(.leave(id, entry.name, attempt: attempt), at: moment)
    }

    private mutating func finish(_ end: End) -> [Effect] {
        self.end = end
        return [.ended(end)]
    }
}

/// How records are numbered: by the time of day, so that fencing tokens keep growing when the topic is created again.
enum LogNumber {
    /// The milliseconds since 2026, shifted left by 21.
    static func of(_ wall: Int64) -> UInt64 { (FencingNumbering.last(at: wall) >> 21) << 21 }
}
