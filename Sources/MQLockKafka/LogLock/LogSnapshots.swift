import MQLock

/// Snapshots of a table: written in chunks, and collected from them.
///
/// A chunk begins with the highest number; sessions follow, then lines, then marks.
enum LogSnapshot {
    private static let session: UInt8 = 1
    private static let line: UInt8 = 2
    private static let done: UInt8 = 3
    /// The size of a full chunk. With one more item it stays far below a broker's limit (1 MB).
    static let chunkSize = 400_000
    private static let placesPerItem = 1000

    /// The current table: the state after the last record applied.
    static func chunks(of table: LockTable, id: RandomID, size: Int = chunkSize) -> [SnapshotChunk] {
        var parts: [LogBytesWriter] = []
        func item(_ write: (inout LogBytesWriter) -> Void) {
            if parts.last.map({ $0.bytes.count >= size }) ?? true {
                var head = LogBytesWriter()
                head.put(table.highest)
                parts.append(head)
            }
            write(&parts[parts.count - 1])
        }
        item { _ in }
        for (id, entry) in table.sessions.sorted(by: { $0.key < $1.key }) {
            item { out in
                out.put(session)
                out.put(id: id)
                out.put(UInt32(clamping: entry.ttl.nanoseconds / 1_000_000))
                out.put(entry.partitions)
                out.put(entry.last)
                out.put(Array(entry.owner.utf8), length: UInt8.self)
            }
        }
        for (name, entry) in table.lines.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            for start in stride(from: 0, to: entry.places.count, by: placesPerItem) {
                let places = entry.places[start..<min(start + placesPerItem, entry.places.count)]
                item { out in
                    out.put(line)
                    out.put(name.utf8, length: UInt8.self)
                    out.put(entry.token)
                    out.put(UInt32(places.count))
                    for place in places {
                        out.put(id: place.session)
                        out.put(place.attempt)
                        out.put(place.offset)
                    }
                }
            }
        }
        for (name, texts) in table.done.texts.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
            for text in texts {
                item { out in
                    out.put(done)
                    out.put(name.utf8, length: UInt8.self)
                    out.put(text)
                }
            }
        }
        let name = SnapshotName(asOf: table.next - 1, id: id)
        return parts.enumerated().map {
            SnapshotChunk(name: name, index: UInt32($0.offset), count: UInt32(parts.count), bytes: $0.element.bytes)
        }
    }

    /// Builds a table from chunks; nil unless they are what ``chunks(of:id:size:)`` makes.
    static func table(_ name: SnapshotName, _ chunks: [SnapshotChunk]) -> LockTable? {
        var table: LockTable?
        for chunk in chunks {
            var input = LogBytesReader(chunk.bytes)
            do {
                let highest = try input.number(UInt64.self)
                var part = table ?? LockTable(asOf: name.asOf, highest: highest)
                guard part.highest == highest, highest <= FencingToken.maximum else { return nil }
                while !input.isAtEnd { if !(try readItem(&input, into: &part)) { return nil } }
                table = part
            } catch {
                return nil
            }
        }
        return table
    }

    private static func readItem(
        _ input: inout LogBytesReader, into table: inout LockTable
    ) throws(LogBytesReader.Malformed) -> Bool {
        switch try input.number(UInt8.self) {
        case session:
            let (id, ttl) = (try input.id(), try input.number(UInt32.self))
            let (partitions, last) = (try input.number(UInt32.self), try input.number(Int64.self))
            let entry = LockTable.Session(
                ttl: .milliseconds(Int64(ttl)), partitions: partitions, owner: try input.words(), last: last)
            return table.restore(id, entry)
        case line:
            let (name, token) = (try input.name(), try input.number(UInt64.self))
            var places: [LockTable.Place] = []
            for _ in 0..<(try input.number(UInt32.self)) {
                places.append(.init(session: try input.id(), attempt: try input.number(), offset: try input.number()))
            }
            return table.restore(name, token: token, places)
        case done:
            let name = try input.name()
            return table.restore(try input.doneText(), of: name)
        default: return false
        }
    }
}

/// The chunks that were read, by the snapshots that they belong to †, until these are complete.
struct SnapshotCollector: Sendable {
    private var parts: [SnapshotName: [UInt32: SnapshotChunk]] = [:]
    /// Writers that died between two chunks leave some behind.
    private static let limit = 8

    /// The table and the size of its chunks in bytes, when this chunk was the last that was missing †.
    mutating func add(_ chunk: SnapshotChunk) -> (table: LockTable, size: Int)? {
        parts[chunk.name, default: [:]][chunk.index] = chunk
        if let complete = parts[chunk.name], complete.count == Int(clamping: chunk.count) {
            parts[chunk.name] = nil
            let chunks = complete.values.sorted { $0.index < $1.index }
            guard chunks.allSatisfy({ $0.count == chunk.count }) else { return nil }
            return LogSnapshot.table(chunk.name, chunks).map { ($0, chunks.reduce(0) { $0 + $1.bytes.count }) }
        }
        if parts.count > Self.limit, let oldest = parts.keys.min() { parts[oldest] = nil }
        return nil
    }
}
