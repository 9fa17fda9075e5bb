import ExamplesShared
import Foundation
import MQLock

/// Records that a service has written beside its own data, to be published in order; and the list of published ones,
/// with the gate in front of it.
///
/// A real outbox is a table, written in the transactions that change the data. Its gate is a condition on the token in
/// the `UPDATE` that marks a record. The steps are the same.
struct Outbox: Sendable {
    private let records: String
    private let moved: String
    private let gate: FileFenceGate
    private static let name: LockName = "outbox"

    init(directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        records = directory + "/records"
        moved = directory + "/moved"
        gate = FileFenceGate(path: directory + "/moved.fence")
    }

    /// Writes records for a demonstration.
    func fill(_ count: Int) throws {
        let lines = (1...max(1, count)).map { "record \($0)\n" }.joined()
        try Data(lines.utf8).write(to: URL(fileURLWithPath: records))
    }

    /// The text of a record, from 1 on; nil when it has not been written yet.
    func record(_ number: Int) -> String? {
        let lines = Self.lines(records)
        return lines.indices.contains(number - 1) ? lines[number - 1] : nil
    }

    /// How many records have been moved; the leader asks this.
    ///
    /// Its token is admitted first: from then on no former leader can mark anything, so the answer stays true until
    /// this leader marks the next one.
    /// - Throws: `LockError` with code `staleToken` when a later leader was here.
    func position(under leadership: Leadership) throws -> Int {
        try gate.withAdmission(leadership.fencingToken, for: Self.name) { Self.lines(moved).count }
    }

    /// Marks a record as moved, once.
    /// - Throws: `LockError` with code `staleToken` when a later leader was here: nothing is marked then.
    func markMoved(_ number: Int, under leadership: Leadership) throws {
        try gate.withAdmission(leadership.fencingToken, for: Self.name) {
            guard Self.lines(moved).count == number - 1 else { throw ExampleError("record \(number) is out of turn") }
            let file = open(moved, O_WRONLY | O_APPEND | O_CREAT, 0o600)
            guard file >= 0 else { throw CocoaError(.fileWriteUnknown) }
            defer { close(file) }
            let line = Array("\(number) \(leadership.fencingToken)\n".utf8)
            guard write(file, line, line.count) == line.count, fsync(file) == 0 else {
                throw CocoaError(.fileWriteUnknown)
            }
        }
    }

    /// Number and token of each moved record, in the order of the moves.
    var history: [(number: Int, token: FencingToken)] {
        Self.lines(moved).compactMap { line in
            let words = line.split(separator: " ")
            guard words.count == 2, let number = Int(words[0]), let token = FencingToken(words[1]) else { return nil }
            return (number, token)
        }
    }

    private static func lines(_ path: String) -> [String] {
        let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
        // A line without its end has not been written completely.
        return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }
}
