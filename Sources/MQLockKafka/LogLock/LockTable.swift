import MQLock

/// The state of all locks of one partition: a pure fold over its records, the same in every reader that has applied the
/// record at the same offset.
///
/// The first in a name's line holds the lock. A session's record takes effect only while the session is in the table.
struct LockTable: Sendable, Hashable {
    typealias SessionID = LogRecord.SessionID

    struct Session: Sendable, Hashable {
        let ttl: Duration
        /// How many partitions it spreads names over.
        let partitions: UInt32
        let owner: String
        /// The offset of its last record: an `expire` that names another one comes too late.
        var last: Int64
        /// The names where it has places.
        var names: Set<LockName> = []
    }

    struct Place: Sendable, Hashable {
        let session: SessionID
        let attempt: UInt64
        /// The offset of the record that made it.
        let offset: Int64
    }

    /// Never empty.
    struct Line: Sendable, Hashable {
        var places: [Place]
        /// The fencing token of the first place.
        var token: UInt64
    }

    private(set) var sessions: [SessionID: Session] = [:]
    private(set) var lines: [LockName: Line] = [:]
    /// The marks of jobs that have been done under the names.
    private(set) var done = DoneMarks()
    /// The largest fencing number given out.
    private(set) var highest: UInt64 = 0
    /// The offset of the next record to apply.
    private(set) var next: Int64
    /// The sum of the hashes of all parts, so a change costs no more than the parts that it changes.
    var hash: UInt64 { sum &+ done.hash }
    /// Without the marks.
    private var sum: UInt64 = 0

    /// An empty table.
    init(next: Int64) { self.next = next }

    static let ttlLimits = Duration.seconds(1) ... .seconds(600)
    /// No clock yields such a large number. It counts as 0, so one bad writer cannot use the numbers up.
    static let numberLimit: UInt64 = 1 << 62

    /// What a record did.
    struct Change: Sendable, Equatable {
        var hasEffect = false
        /// Names that have another first place than before, or none any more.
        var promoted: [LockName] = []
        /// The session whose last record it became.
        var proven: SessionID?
        var gone: SessionID?
    }

    /// Applies the record at ``next``; nil is one without effect.
    mutating func apply(_ record: LogRecord?) -> Change {
        var change = Change()
        defer { next += 1 }
        guard let record else { return change }
        switch record.body {
        case .open(let id, let ttl, let count, let owner):
            if sessions[id] == nil { open(id, ttl, count, owner) }
            change.hasEffect = prove(id)
        case .alive(let id): change.hasEffect = prove(id)
        case .want(let id, let name, let attempt, let isTry):
            change.hasEffect = prove(id)
            if change.hasEffect, queue(id, name, attempt, isTry) { change.promoted = [name] }
        case .leave(let id, let name, let attempt):
            change.hasEffect = prove(id)
            if change.hasEffect, strike(name, where: { $0.session == id && $0.attempt == attempt }) {
                change.promoted = [name]
            }
        case .close(let id): change = remove(id)
        case .expire(let id, let seen): if sessions[id]?.last == seen { change = remove(id) }
        case .done(let id, let name, let text):
            change.hasEffect = prove(id)
            if change.hasEffect { done.keep(text, of: name) }
        case .yield, .snapshot: break
        }
        guard change.hasEffect else { return change }
        change.proven = record.provenSession
        // Not the larger of both: a record that was numbered before others came must still make it grow †.
        let number = record.number < Self.numberLimit ? record.number : 0
        setHighest(max(highest &+ 1, number))
        for name in change.promoted { setToken(name) }
        return change
    }

    // MARK: Effects

    private mutating func open(_ id: SessionID, _ ttl: Duration, _ count: UInt32, _ owner: String) {
        guard Self.ttlLimits.contains(ttl) else { return }
        set(id, Session(ttl: ttl, partitions: count, owner: owner, last: next))
    }

    /// Makes the record the session's last one; false without such a session.
    private mutating func prove(_ id: SessionID) -> Bool {
        guard var session = sessions[id] else { return false }
        session.last = next
        set(id, session)
        return true
    }

    /// Whether the attempt has become first.
    private mutating func queue(_ id: SessionID, _ name: LockName, _ attempt: UInt64, _ isTry: Bool) -> Bool {
        let place = Place(session: id, attempt: attempt, offset: next)
        sum &+= Self.hash(name, place)
        guard var line = lines[name] else {
            lines[name] = Line(places: [place], token: 0)
            sum &+= Self.hash(name, token: 0)
            sessions[id]?.names.insert(name)
            return true
        }
        guard !isTry, !line.places.contains(where: { $0.session == id && $0.attempt == attempt }) else {
            sum &-= Self.hash(name, place)
            return false
        }
        line.places.append(place)
        lines[name] = line
        sessions[id]?.names.insert(name)
        return false
    }

    /// Removes places from a line. Returns whether its first place was among them.
    private mutating func strike(_ name: LockName, where isGone: (Place) -> Bool) -> Bool {
        guard var line = lines[name] else { return false }
        let first = line.places.first
        let gone = line.places.filter(isGone)
        guard !gone.isEmpty else { return false }
        line.places.removeAll(where: isGone)
        for place in gone {
            sum &-= Self.hash(name, place)
            if !line.places.contains(where: { $0.session == place.session }) {
                sessions[place.session]?.names.remove(name)
            }
        }
        if line.places.isEmpty {
            sum &-= Self.hash(name, token: line.token)
            lines[name] = nil
        } else {
            lines[name] = line
        }
        return line.places.first != first
    }

    private mutating func remove(_ id: SessionID) -> Change {
        guard let session = sessions[id] else { return Change() }
        var promoted: [LockName] = []
        for name in session.names where strike(name, where: { $0.session == id }) { promoted.append(name) }
        set(id, nil)
        return Change(hasEffect: true, promoted: promoted, gone: id)
    }

    private mutating func set(_ id: SessionID, _ session: Session?) {
        if let old = sessions[id] { sum &-= Self.hash(id, old) }
        sessions[id] = session
        if let session { sum &+= Self.hash(id, session) }
    }

    private mutating func setHighest(_ new: UInt64) {
        sum &+= Self.hash(highest: new) &- Self.hash(highest: highest)
        highest = new
    }

    private mutating func setToken(_ name: LockName) {
        guard let old = lines[name]?.token else { return }
        sum &+= Self.hash(name, token: highest) &- Self.hash(name, token: old)
        lines[name]?.token = highest
    }
}

// MARK: Snapshots

extension LockTable {
    /// The state after the record at `asOf`, rebuilt.
    init(asOf: Int64, highest: UInt64) {
        self.init(next: asOf + 1)
        setHighest(highest)
    }

    /// Adds a session of a snapshot; false when it cannot belong to this table.
    mutating func restore(_ id: SessionID, _ session: Session) -> Bool {
        guard sessions[id] == nil, session.last < next, Self.ttlLimits.contains(session.ttl) else { return false }
        set(id, session)
        return true
    }

    /// Adds places of a snapshot to the end of a line; false when they cannot belong to this table.
    mutating func restore(_ name: LockName, token: UInt64, _ places: [Place]) -> Bool {
        if lines[name] == nil { sum &+= Self.hash(name, token: token) }
        var line = lines[name] ?? Line(places: [], token: token)
        guard line.token == token, !places.isEmpty else { return false }
        for place in places {
            guard sessions[place.session] != nil, place.offset > line.places.last?.offset ?? -1, place.offset < next
            else { return false }
            line.places.append(place)
            sum &+= Self.hash(name, place)
            sessions[place.session]?.names.insert(name)
        }
        lines[name] = line
        return true
    }

    /// Adds a mark of a snapshot; false when it cannot belong to this table.
    mutating func restore(_ text: DoneText, of name: LockName) -> Bool { done.keep(text, of: name) }
}

// MARK: Hashes

extension LockTable {
    private static func hash(_ id: SessionID, _ session: Session) -> UInt64 {
        var hasher = LogHasher(1)
        hasher.add(id)
        hasher.add(UInt64(clamping: session.ttl.nanoseconds / 1_000_000))
        hasher.add(UInt64(session.partitions))
        hasher.add(Array(session.owner.utf8))
        hasher.add(UInt64(bitPattern: session.last))
        return hasher.value
    }

    private static func hash(_ name: LockName, _ place: Place) -> UInt64 {
        var hasher = LogHasher(2)
        hasher.add(name.utf8)
        hasher.add(place.session)
        hasher.add(place.attempt)
        hasher.add(UInt64(bitPattern: place.offset))
        return hasher.value
    }

    private static func hash(_ name: LockName, token: UInt64) -> UInt64 {
        var hasher = LogHasher(3)
        hasher.add(name.utf8)
        hasher.add(token)
        return hasher.value
    }

    private static func hash(highest: UInt64) -> UInt64 {
        guard highest > 0 else { return 0 }
        var hasher = LogHasher(4)
        hasher.add(highest)
        return hasher.value
    }
}

/// The hash of a part of the state, as the protocol defines it: it has to be the same in every program.
struct LogHasher {
    private(set) var value: UInt64

    init(_ kind: UInt64) {
        value = 0
        add(kind)
    }

    mutating func add(_ word: UInt64) {
        value = (value ^ word) &* 0x9E37_79B9_7F4A_7C15
        value ^= value >> 32
    }

    mutating func add(_ id: RandomID) {
        add(id.high)
        add(id.low)
    }

    /// The length, then words of eight bytes, big-endian, the last one padded with zeros.
    mutating func add(_ bytes: [UInt8]) {
        add(UInt64(bytes.count))
        var word: UInt64 = 0
        for (index, byte) in bytes.enumerated() {
            word = word << 8 | UInt64(byte)
            if index % 8 == 7 {
                add(word)
                word = 0
            }
        }
        let left = bytes.count % 8
        if left > 0 { add(word << (8 * UInt64(8 - left))) }
    }
}
