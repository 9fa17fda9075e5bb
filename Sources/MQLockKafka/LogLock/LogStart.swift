import MQLock

/// How a reader of the log starts: from a snapshot that a writer near the end has read, else from a snapshot found in
/// the log, else from the log's beginning. A pure value.
struct LogStart: Sendable {
    enum Step: Sendable {
        case goesOn
        /// The next entry to read is the one at this offset.
        case seek(Int64)
        /// The state at the end that the log had when the reader started.
        case ready(LogView)
        /// Records to be read are gone, or there are gaps: start again.
        case again
        case newer(version: UInt8)
        /// The topic is one of shards. A lock session that writes to it would disturb their owners.
        case shards
    }

    private enum Phase {
        /// Before the first step. To `scan`, `collect`, `apply`.
        case begin
        /// Looks for a complete snapshot in all that is left: the last writer may have started before there was one †.
        /// To `collect`, `apply`.
        case scan(SnapshotCollector, SnapshotName?)
        /// Collects the snapshot's chunks, and the records after its state.
        case collect(SnapshotName, SnapshotCollector, [LogEntry])
        case apply(LogView)
    }

    private let look: LogLook
    private var phase = Phase.begin
    private var bounds: Range<Int64> { look.bounds }

    init(_ look: LogLook) { self.look = look }

    mutating func begin(at now: ContinuousClock.Instant) -> Step {
        var best: SnapshotName?
        var (hasRecords, hasClaims) = (false, false)
        for entry in look.last {
            switch entry.content {
            case .newer(let version): return .newer(version: version)
            case .record(let record):
                hasRecords = true
                if let name = record.snapshot, isUsable(name) { best = max(best ?? name, name) }
            case .claim: hasClaims = true
            case .unreadable: break
            }
        }
        if hasClaims, !hasRecords { return .shards }
        guard best == nil, bounds.lowerBound > 0, !bounds.isEmpty else { return load(best, at: now) }
        phase = .scan(SnapshotCollector(), nil)
        return .seek(bounds.lowerBound)
    }

    mutating func read(_ entry: LogEntry, at now: ContinuousClock.Instant) -> Step {
        if case .newer(let version) = entry.content { return .newer(version: version) }
        switch phase {
        case .begin: break
        case .scan(var collector, var best):
            phase = .begin
            if case .record(let record) = entry.content, case .snapshot(let chunk) = record.body, isUsable(chunk.name),
                collector.add(chunk) != nil
            {
                best = max(best ?? chunk.name, chunk.name)
            }
            phase = .scan(collector, best)
        case .collect(let name, var collector, var entries):
            phase = .begin
            return collect(entry, name, &collector, &entries, at: now)
        case .apply(var view):
            phase = .begin
            let outcome = view.read(entry, isFresh: false, at: now)
            phase = .apply(view)
            if outcome == .gap { return .again }
        }
        return reached(entry.offset + 1, at: now)
    }

    /// Everything before this offset has been read.
    mutating func reached(_ offset: Int64, at now: ContinuousClock.Instant) -> Step {
        guard offset >= bounds.upperBound else { return .goesOn }
        switch phase {
        case .begin: return .goesOn
        case .scan(_, let best): return load(best, at: now)
        // A writer that had read it to the end has named it.
        case .collect: return .again
        case .apply(let view): return view.table.next >= bounds.upperBound ? .ready(view) : .again
        }
    }

    /// Whether nothing that its state rests on was deleted.
    private func isUsable(_ name: SnapshotName) -> Bool {
        name.asOf + 1 >= bounds.lowerBound && name.asOf < bounds.upperBound
    }

    private mutating func load(_ name: SnapshotName?, at now: ContinuousClock.Instant) -> Step {
        guard let name else {
            // No session is alive that would have written one: the state at the log's beginning is empty. Not that at
            // its end †.
            let view = LogView(LockTable(next: bounds.lowerBound), snapshot: nil, at: now)
            phase = .apply(view)
            return bounds.isEmpty ? .ready(view) : .seek(bounds.lowerBound)
        }
        phase = .collect(name, SnapshotCollector(), [])
        // Its state is that of asOf, however much later its chunks come †.
        return .seek(name.asOf + 1)
    }

    private mutating func collect(
        _ entry: LogEntry, _ name: SnapshotName, _ collector: inout SnapshotCollector, _ entries: inout [LogEntry],
        at now: ContinuousClock.Instant
    ) -> Step {
        let last = entries.last?.offset ?? name.asOf
        guard entry.offset == last + 1 else {
            phase = .collect(name, collector, entries)
            return entry.offset <= last ? .goesOn : .again
        }
        entries.append(entry)
        if case .record(let record) = entry.content, case .snapshot(let chunk) = record.body, chunk.name == name,
            let (table, size) = collector.add(chunk)
        {
            var view = LogView(
                table, snapshot: .init(name: name, at: now, timestamp: entry.timestamp, size: size), at: now)
            for entry in entries { _ = view.read(entry, isFresh: false, at: now) }
            phase = .apply(view)
        } else {
            phase = .collect(name, collector, entries)
        }
        return reached(entry.offset + 1, at: now)
    }
}
