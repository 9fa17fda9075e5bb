import ExamplesShared
import Foundation
import MQLock

/// The state of one shard: a file with a line for each applied movement, stamped with the token under which it was
/// written. Stock and reading position both follow from its lines, so a crash cannot separate them.
///
/// Every write goes through the shard's fence gate, so an owner that was stopped and resumes late writes nothing once
/// its successor has opened the file. On one machine a `FileFenceGate` is that gate. State in a database has the token
/// and the position as columns of the shard's row, and changes all in one transaction with `WHERE fence <= :token`.
struct Journal: Sendable {
    let directory: String
    let shard: Int
    /// Only to show what happens without it.
    var hasGate = true

    struct Line: Equatable {
        var token: FencingToken
        var entry: Entry
        var member: String
    }

    /// Call this first. From here on no earlier owner can write, so the position that is read stays true until we lose
    /// the shard and a later owner has called this. Then our own ``append(_:by:under:)`` fails.
    /// - Returns: the offset to continue at.
    func open(under lease: Lease) throws -> Int64 {
        try guarded(lease) {
            let url = URL(fileURLWithPath: path)
            if !FileManager.default.fileExists(atPath: path) { try Data().write(to: url) }
            // An owner that died in the middle of a line left a part of it.
            let file = try FileHandle(forUpdating: url)
            defer { try? file.close() }
            let old = try file.readToEnd() ?? Data()
            try file.truncate(atOffset: UInt64(old.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0))
            return try lines().last.map { $0.entry.offset + 1 } ?? 0
        }
    }

    /// Applies movements; they are on the disk when this returns. A crash in the middle leaves the first of them.
    /// - Throws: `LockError` with code `staleToken` when a later owner was here: nothing is written then.
    func append(_ entries: [Entry], by member: String, under lease: Lease) throws {
        let text = entries.map { Line(token: lease.fencingToken, entry: $0, member: member).text + "\n" }.joined()
        try guarded(lease) {
            let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
            defer { try? file.close() }
            try file.seekToEnd()
            try file.write(contentsOf: Data(text.utf8))
            try file.synchronize()
        }
    }

    /// The complete lines, oldest first.
    func lines() throws -> [Line] {
        guard let data = FileManager.default.contents(atPath: path) else { return [] }
        return try data.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast().map { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            guard let line = Line(text: text) else { throw ExampleError("shard \(shard) has a line '\(text)'") }
            return line
        }
    }

    private func guarded<Result>(_ lease: Lease, _ body: () throws -> Result) throws -> Result {
        guard hasGate else { return try body() }
        return try FileFenceGate(path: "\(directory)/shard-\(shard).fence")
            .withAdmission(lease.fencingToken, for: lease.name, body)
    }

    private var path: String { "\(directory)/shard-\(shard).journal" }
}

extension Journal.Line {
    var text: String { "\(token) \(entry.offset) \(entry.movement.article) \(entry.movement.delta) \(member)" }

    init?(text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count == 5, let token = FencingToken(words[0]), let offset = Int64(words[1]),
            let delta = Int(words[3])
        else { return nil }
        let movement = Movement(article: String(words[2]), delta: delta)
        self.init(token: token, entry: Entry(offset: offset, movement: movement), member: String(words[4]))
    }
}
