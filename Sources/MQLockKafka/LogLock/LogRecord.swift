import MQLock

/// A record of the lock log: what a session asks for. Its writer never decides whether it takes effect. The fold
/// (``LockTable``) does, and it is the same in every reader. The bytes are in the article *The log lock*.
struct LogRecord: Hashable, Sendable {
    typealias SessionID = RandomID

    enum Body: Hashable, Sendable {
        /// A new session, with how long it lives without a record, in whole milliseconds, and how many partitions it
        /// spreads names over.
        case open(SessionID, ttl: Duration, partitions: UInt32, owner: String)
        case alive(SessionID)
        /// A place at the end of a name's line; for a try, only if there is no other place.
        case want(SessionID, LockName, attempt: UInt64, isTry: Bool)
        /// Removes a place: a release if it is the first.
        case leave(SessionID, LockName, attempt: UInt64)
        case close(SessionID)
        /// Ends another session, unless that session has written a record after the offset `seen`.
        case expire(SessionID, seen: Int64)
        /// Asks the holder with this token to give up the lock.
        case yield(LockName, token: UInt64, from: String)
        /// For readers that start.
        case snapshot(SnapshotChunk)
        /// A mark to be kept: a job has been done under a name.
        case done(SessionID, LockName, DoneText)
    }

    /// The number from which the fold makes fencing tokens.
    var number: UInt64
    /// The last offset that the writer had applied, -1 for none, and the hash of its state there.
    var applied: Int64
    var hash: UInt64
    /// The newest snapshot that the writer has read to the end.
    var snapshot: SnapshotName?
    var body: Body

    /// The session whose life it proves: exactly the records that become the session's last one †.
    var provenSession: SessionID? {
        switch body {
        case .open(let session, _, _, _), .alive(let session), .want(let session, _, _, _), .leave(let session, _, _),
            .done(let session, _, _):
            session
        case .close, .expire, .yield, .snapshot: nil
        }
    }
}

/// The name of a snapshot: of the state after the record at `asOf`.
struct SnapshotName: Hashable, Sendable, Comparable {
    let asOf: Int64
    let id: RandomID

    /// No log gets this long, so calculations with what is read cannot overflow.
    static let limit: Int64 = 1 << 62

    static func < (left: Self, right: Self) -> Bool { (left.asOf, left.id) < (right.asOf, right.id) }
}

/// A part of a snapshot.
struct SnapshotChunk: Hashable, Sendable {
    let name: SnapshotName
    let index: UInt32
    let count: UInt32
    let bytes: [UInt8]

    /// More chunks than any snapshot has: some gigabytes.
    static let limit: UInt32 = 10_000
}

/// An entry at an offset of the log.
struct LogEntry: Sendable, Hashable {
    enum Content: Sendable, Hashable {
        case record(LogRecord)
        /// Foreign or damaged: it has no effect.
        case unreadable
        /// The claim of a shard's owner. It has no effect either, but shows that the topic is one of shards.
        case claim
        /// A format that this program does not know. It must not guess the effect.
        case newer(version: UInt8)
    }

    let offset: Int64
    /// Milliseconds since 1970, by the broker's clock. It decides only how long a try waits.
    let timestamp: Int64
    let content: Content
}

extension LogRecord {
    /// The first bytes of every version.
    /// What a record of a session has in bytes, about.
    static let usualSize = 100
    static let magic: [UInt8] = [0x4D, 0x51, 0x4C]
    static let version: UInt8 = 1

    private enum Kind: UInt8 { case open = 1, alive, want, leave, close, expire, yield, snapshot, done }

    var bytes: [UInt8] {
        var out = LogBytesWriter()
        out.put(Self.magic)
        out.put(Self.version)
        out.put(kind.rawValue)
        out.put(number)
        out.put(applied)
        out.put(hash)
        out.put(snapshot?.asOf ?? -1)
        out.put(id: snapshot?.id ?? RandomID(high: 0, low: 0))
        switch body {
        case .open(let session, let ttl, let partitions, let owner):
            out.put(id: session)
            out.put(UInt32(clamping: ttl.nanoseconds / 1_000_000))
            out.put(partitions)
            out.put(Array(owner.utf8), length: UInt8.self)
        case .alive(let session), .close(let session): out.put(id: session)
        case .want(let session, let name, let attempt, let isTry):
            out.put(id: session)
            out.put(attempt)
            out.put(UInt8(isTry ? 1 : 0))
            out.put(name.utf8, length: UInt8.self)
        case .leave(let session, let name, let attempt):
            out.put(id: session)
            out.put(attempt)
            out.put(name.utf8, length: UInt8.self)
        case .expire(let session, let seen):
            out.put(id: session)
            out.put(seen)
        case .yield(let name, let token, let from):
            out.put(name.utf8, length: UInt8.self)
            out.put(token)
            out.put(Array(from.utf8), length: UInt8.self)
        case .snapshot(let chunk):
            out.put(id: chunk.name.id)
            out.put(chunk.name.asOf)
            out.put(chunk.index)
            out.put(chunk.count)
            out.put(chunk.bytes)
        case .done(let session, let name, let text):
            out.put(id: session)
            out.put(name.utf8, length: UInt8.self)
            out.put(text)
        }
        return out.bytes
    }

    private var kind: Kind {
        switch body {
        case .open: .open
        case .alive: .alive
        case .want: .want
        case .leave: .leave
        case .close: .close
        case .expire: .expire
        case .yield: .yield
        case .snapshot: .snapshot
        case .done: .done
        }
    }

    /// Whether a record's value belongs to the lock log, in any version.
    static func isOurs(_ bytes: [UInt8]) -> Bool { bytes.count > magic.count && bytes.starts(with: magic) }

    /// Reads a record. Any bytes are one of these.
    /// - Parameter key: our records have none.
    static func read(_ bytes: [UInt8], key: [UInt8] = []) -> LogEntry.Content {
        guard isOurs(bytes) else { return ClaimRecord.isKey(key) ? .claim : .unreadable }
        let version = bytes[magic.count]
        guard version <= Self.version else { return .newer(version: version) }
        guard version == Self.version else { return .unreadable }
        var input = LogBytesReader(Array(bytes.dropFirst(magic.count + 1)))
        do {
            let record = try LogRecord(&input)
            return input.isAtEnd ? .record(record) : .unreadable
        } catch {
            return .unreadable
        }
    }

    private init(_ input: inout LogBytesReader) throws(LogBytesReader.Malformed) {
        guard let kind = Kind(rawValue: try input.number()) else { throw .init() }
        number = try input.number()
        applied = try input.number()
        hash = try input.number()
        let asOf = try input.number(Int64.self)
        let id = try input.id()
        guard asOf < SnapshotName.limit else { throw .init() }
        snapshot = asOf < 0 ? nil : SnapshotName(asOf: asOf, id: id)
        switch kind {
        case .open:
            body = .open(
                try input.id(), ttl: .milliseconds(Int64(try input.number(UInt32.self))),
                partitions: try input.number(), owner: try input.words())
        case .alive: body = .alive(try input.id())
        case .close: body = .close(try input.id())
        case .want:
            let (session, attempt, flags) = (
                try input.id(), try input.number(UInt64.self), try input.number(UInt8.self)
            )
            guard flags <= 1 else { throw .init() }
            body = .want(session, try input.name(), attempt: attempt, isTry: flags == 1)
        case .leave:
            let (session, attempt) = (try input.id(), try input.number(UInt64.self))
            body = .leave(session, try input.name(), attempt: attempt)
        case .expire: body = .expire(try input.id(), seen: try input.number())
        case .yield:
            body = .yield(try input.name(), token: try input.number(), from: try input.words())
        case .snapshot:
            let (id, asOf) = (try input.id(), try input.number(Int64.self))
            let (index, count) = (try input.number(UInt32.self), try input.number(UInt32.self))
            guard (0..<SnapshotName.limit).contains(asOf), index < count, count <= SnapshotChunk.limit else {
                throw .init()
            }
            body = .snapshot(
                SnapshotChunk(
                    name: SnapshotName(asOf: asOf, id: id), index: index, count: count, bytes: input.everything()))
        case .done: body = .done(try input.id(), try input.name(), try input.doneText())
        }
    }
}

extension LogBytesWriter {
    mutating func put(id: RandomID) {
        put(id.high)
        put(id.low)
    }

    mutating func put(_ text: DoneText) {
        put(text.token)
        put(text.bytes, length: UInt16.self)
    }
}

extension LogBytesReader {
    mutating func id() throws(Malformed) -> RandomID { RandomID(high: try number(), low: try number()) }

    mutating func name() throws(Malformed) -> LockName {
        let bytes = try text(UInt8.self)
        guard let text = String(validating: bytes, as: UTF8.self), let name = try? LockName(text), name.utf8 == bytes
        else { throw Malformed() }
        return name
    }

    mutating func doneText() throws(Malformed) -> DoneText {
        guard let text = DoneText(token: try number(), try self.text(UInt16.self)) else { throw Malformed() }
        return text
    }

    /// A text for people.
    mutating func words() throws(Malformed) -> String {
        guard let words = String(validating: try text(UInt8.self), as: UTF8.self) else { throw Malformed() }
        return words
    }
}
