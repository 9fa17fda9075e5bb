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
        /// Looks for the name of a snapshot in the last records. To `load`, `scan`.
        case tail(SnapshotName?)
        /// Looks for a complete snapshot in all that is left: the last writer may have started before there was one †.
        /// To `load`.
        case scan(SnapshotCollector, SnapshotName?)
        /// Collects the snapshot's chunks, and the records after its state.
        case collect(SnapshotName, SnapshotCollector, [LogEntry])
        case apply(LogView)
    }

    /// The log's bounds at the start.
    private let bounds: Range<Int64>
    private var phase = Phase.tail(nil)
    private let tail: Int64
    /// What the last records are: ours, or claims of shards.
    private var hasRecords = false
    private var hasClaims = false

    /// - Parameter tail: in how many of the last records to look for a name.
    init(_ bounds: Range<Int64>, tail: Int64 = 20) { (self.bounds, self.tail) = (bounds, tail) }

    mutating func begin(at now: ContinuousClock.Instant) -> Step {
        guard !bounds.isEmpty else { return load(nil, at: now) }
        phase = .tail(nil)
        return .seek(max(bounds.lowerBound, bounds.upperBound - tail))
    }

    mutating func read(_ entry: LogEntry, at now: ContinuousClock.Instant) -> Step {
        switch entry.content {
        case .newer(let version): return .newer(version: version)
        case .record: hasRecords = true
        case .claim: hasClaims = true
        case .unreadable: break
        }
        switch phase {
        case .tail(let best):
            var best = best
            if case .record(let record) = entry.content, let name = record.snapshot, isUsable(name) {
                best = max(best ?? name, name)
            }
            phase = .tail(best)
        case .scan(var collector, var best):
            phase = .tail(nil)
            if case .record(let record) = entry.content, case .snapshot(let chunk) = record.body, isUsable(chunk.name),
                collector.add(chunk) != nil
            {
                best = max(best ?? chunk.name, chunk.name)
            }
            phase = .scan(collector, best)
        case .collect(let name, var collector, var entries):
            phase = .tail(nil)
            return collect(entry, name, &collector, &entries, at: now)
        case .apply(var view):
            phase = .tail(nil)
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
        case .tail where hasClaims && !hasRecords: return .shards
        case .tail(let best?): return load(best, at: now)
        case .tail(nil):
            guard bounds.lowerBound > 0 else { return load(nil, at: now) }
            phase = .scan(SnapshotCollector(), nil)
            return .seek(bounds.lowerBound)
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
            let table = collector.add(chunk)
        {
            var view = LogView(
                table, snapshot: .init(name: name, at: now, timestamp: entry.timestamp), at: now)
            for entry in entries { _ = view.read(entry, isFresh: false, at: now) }
            phase = .apply(view)
        } else {
            phase = .collect(name, collector, entries)
        }
        return reached(entry.offset + 1, at: now)
    }
}
