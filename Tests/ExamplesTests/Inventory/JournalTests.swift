import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import ShardedInventory

@Suite("the journal of the inventory example") final class JournalTests {
    private let journal = Journal(directory: NSTemporaryDirectory() + "journal-\(UUID().uuidString)", shard: 3)
    // On a clock that stands still: these tests are about files, not about proofs.
    private let locks = InMemoryLocks(InMemoryBroker(clock: ManualClock()))

    init() throws {
        try FileManager.default.createDirectory(atPath: journal.directory, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: journal.directory) }

    @Test("the next owner goes on where the file ends")
    func position() async throws {
        let first = try await lease()
        #expect(try journal.open(under: first) == 0)
        try journal.append([entry(0), entry(1), entry(4)], by: "a", under: first)
        #expect(try journal.open(under: try await lease()) == 5)
        #expect(try journal.lines().map(\.entry) == [entry(0), entry(1), entry(4)])
    }

    @Test("a former owner writes nothing once its successor has opened the file; without the gate it does")
    func stale() async throws {
        let former = try await lease()
        let latter = try await lease()
        _ = try journal.open(under: former)
        try journal.append([entry(0)], by: "former", under: former)
        #expect(try journal.open(under: latter) == 1)
        let error = #expect(throws: LockError.self) { try journal.append([entry(1)], by: "former", under: former) }
        #expect(error?.code == .staleToken)
        #expect(try journal.lines().count == 1)
        let open = Journal(directory: journal.directory, shard: 3, hasGate: false)
        try open.append([entry(1)], by: "former", under: former)
        #expect(try journal.lines().count == 2)
    }

    @Test("a piece of a line, left by a crash, is taken away")
    func torn() async throws {
        let lease = try await lease()
        _ = try journal.open(under: lease)
        try journal.append([entry(0), entry(1)], by: "a", under: lease)
        let file = try #require(FileHandle(forUpdatingAtPath: "\(journal.directory)/shard-3.journal"))
        try file.seekToEnd()
        try file.write(contentsOf: Data("58 2 article 1".utf8))
        try file.close()
        #expect(try journal.open(under: lease) == 2)
        try journal.append([entry(2)], by: "a", under: lease)
        #expect(try journal.lines().map(\.entry) == [entry(0), entry(1), entry(2)])
    }

    @Test("the audit finds what is missing, twice, out of turn, changed or stale")
    func audit() throws {
        let written = [entry(0), entry(1), entry(2)]
        var other = entry(1)
        other.movement.delta += 1
        /// A line for each of the entries, with the token of the same place.
        func verdict(_ tokens: [UInt64], _ entries: [Entry]) throws -> String {
            var audit = Audit()
            let lines = try zip(tokens, entries).map { token, entry in
                Journal.Line(token: try #require(FencingToken(rawValue: token)), entry: entry, member: "a")
            }
            audit.add(lines, shard: 3, written: written)
            return try audit.verdict(expecting: 3)
        }
        #expect(try verdict([5, 5, 6], written).contains("3 movements"))
        let wrong: [(tokens: [UInt64], entries: [Entry])] = [
            ([5, 5], [entry(0), entry(1)]),
            ([5, 5, 5, 5], [entry(0), entry(1), entry(1), entry(2)]),
            ([5, 5, 5], [entry(1), entry(0), entry(2)]),
            ([5, 6, 5], written),
            ([5, 5, 5], [entry(0), other, entry(2)]),
            ([5, 5, 5, 5], written + [entry(3)]),
        ]
        for (tokens, entries) in wrong {
            #expect(throws: (any Error).self, "\(entries)") { try verdict(tokens, entries) }
        }
    }

    @Test("records that are no movements")
    func foreignRecords() {
        func movement(_ key: String, _ value: String) -> Movement? {
            Movement(key: Array(key.utf8), value: Array(value.utf8))
        }
        #expect(movement("a", "-3") == Movement(article: "a", delta: -3))
        #expect(movement("", "1") == nil && movement("a b", "1") == nil && movement("a", "x") == nil)
    }

    private func entry(_ offset: Int64) -> Entry {
        Entry(offset: offset, movement: Movement(article: "screws", delta: Int(offset) + 1))
    }

    /// A later one each time. The locks are given back, which the gate knows nothing of.
    private func lease() async throws -> Lease { try await locks.withLock("shard/3") { $0 } }
}
