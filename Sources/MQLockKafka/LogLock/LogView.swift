import MQLock

/// What one reader knows at its offset of the log. A pure value.
struct LogView: Sendable {
    /// When a session last gave a sign of life.
    struct Heard: Sendable, Equatable {
        /// When this reader has applied its last record, or read the snapshot that has it: never an earlier instant †.
        var at: ContinuousClock.Instant
        /// Whether that was at the end of the log, and not while catching up.
        var isFresh: Bool
        /// The record's own time, in milliseconds since 1970.
        var timestamp: Int64
    }

    /// A snapshot that was read to the end.
    struct Known: Sendable, Equatable {
        let name: SnapshotName
        /// When it was read, and when it was written in milliseconds since 1970.
        let at: ContinuousClock.Instant
        let timestamp: Int64
        /// In bytes.
        let size: Int
    }

    /// The outcome of reading an entry.
    enum Outcome: Equatable {
        /// The entry was read before.
        case known
        case applied(LockTable.Change)
        /// Records before it are missing: the current state cannot be known any more †.
        case gap
        case newer(version: UInt8)
        /// Its writer had another state at this offset.
        case contradicted(at: Int64)
    }

    private(set) var table: LockTable
    private(set) var heard: [RandomID: Heard] = [:]
    /// The newest one.
    private(set) var snapshot: Known?
    /// Whether to compare states with those that other writers report.
    var compares = false
    private var collector = SnapshotCollector()
    /// Whether this is the state of the whole log, from its first record on.
    let startedAtZero: Bool
    let startedFrom: SnapshotName?
    /// When the first record that this reader has applied was written, in milliseconds since 1970.
    private(set) var oldest: Int64?
    private var hashes: [UInt64] = []
    /// The offset after which the first of the hashes is the state.
    private var firstHash: Int64
    private static let hashesKept = 10_000

    /// - Parameter now: the instant at which the table was read.
    init(_ table: LockTable, snapshot: Known?, at now: ContinuousClock.Instant) {
        self.table = table
        self.snapshot = snapshot
        firstHash = table.next
        (startedAtZero, startedFrom) = (table.next == 0, snapshot?.name)
        for id in table.sessions.keys { heard[id] = Heard(at: now, isFresh: false, timestamp: 0) }
    }

    /// The state's hash after an offset, if it is still remembered.
    func hash(at offset: Int64) -> UInt64? {
        guard offset >= firstHash, offset < firstHash + Int64(hashes.count) else { return nil }
        return hashes[Int(offset - firstHash)]
    }

    mutating func read(_ entry: LogEntry, isFresh: Bool, at now: ContinuousClock.Instant) -> Outcome {
        guard entry.offset >= table.next else { return .known }
        guard entry.offset == table.next else { return .gap }
        var record: LogRecord?
        switch entry.content {
        case .record(let read): record = read
        case .unreadable, .claim: break
        case .newer(let version): return .newer(version: version)
        }
        if compares, let record, let own = hash(at: record.applied), own != record.hash {
            return .contradicted(at: record.applied)
        }
        let change = table.apply(record)
        oldest = oldest ?? entry.timestamp
        remember(table.hash)
        if let id = change.gone { heard[id] = nil }
        if let id = change.proven { heard[id] = Heard(at: now, isFresh: isFresh, timestamp: entry.timestamp) }
        if case .snapshot(let chunk) = record?.body { collect(chunk, entry.timestamp, at: now) }
        return .applied(change)
    }

    private mutating func remember(_ hash: UInt64) {
        hashes.append(hash)
        guard hashes.count >= 2 * Self.hashesKept else { return }
        hashes.removeFirst(Self.hashesKept)
        firstHash += Int64(Self.hashesKept)
    }

    private mutating func collect(_ chunk: SnapshotChunk, _ timestamp: Int64, at now: ContinuousClock.Instant) {
        guard let complete = collector.add(chunk), chunk.name > snapshot?.name ?? .none else { return }
        // Do not start from a snapshot that differs from what was read.
        if let own = hash(at: chunk.name.asOf), own != complete.table.hash { return }
        guard chunk.name.asOf < table.next else { return }
        snapshot = Known(name: chunk.name, at: now, timestamp: timestamp, size: complete.size)
    }
}

extension SnapshotName {
    fileprivate static let none = Self(asOf: -1, id: RandomID(high: 0, low: 0))
}
