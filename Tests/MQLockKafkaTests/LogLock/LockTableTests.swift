import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

/// The fold: what each record does to the state of the locks.
@Suite struct LockTableTests {
    private static let a = RandomID(high: 0, low: 1)
    private static let b = RandomID(high: 0, low: 2)

    private func open(_ id: RandomID, ttl: Duration = .seconds(10)) -> LogRecord.Body {
        .open(id, ttl: ttl, partitions: 1, owner: "o")
    }

    private func want(_ id: RandomID, _ attempt: UInt64 = 1, isTry: Bool = false) -> LogRecord.Body {
        .want(id, "n", attempt: attempt, isTry: isTry)
    }

    /// Folds records that are all numbered with nothing, so that the highest number counts them.
    private func fold(_ bodies: [LogRecord.Body]) -> LockTable {
        var table = LockTable(next: 0)
        for body in bodies { _ = table.apply(.foreign(body)) }
        return table
    }

    private func line(_ table: LockTable) -> [RandomID] { table.lines["n"]?.places.map(\.session) ?? [] }

    @Test func theHashIsThatOfTheProtocol() {
        let session = RandomID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF)
        var table = LockTable(next: 0)
        var record = LogRecord.foreign(.open(session, ttl: .seconds(30), partitions: 1, owner: "web/7"))
        record.number = 1 << 40
        _ = table.apply(record)
        record = .foreign(.want(session, "job", attempt: 5, isTry: false))
        record.number = 1 << 40 + 2
        _ = table.apply(record)
        #expect(table.highest == 1 << 40 + 2)
        #expect(table.hash == 0xDAB6_8BB2_8D78_9871)
        let mark = DoneMark(
            period: "day", start: 1_795_996_800_000, began: 1_796_007_600_123, ended: 1_796_007_725_456, owner: "web/7",
            fencingToken: FencingToken(rawValue: 1 << 40 + 2)!)
        record = .foreign(.done(session, "job", DoneText(mark, session)))
        record.number = 1 << 40 + 9
        _ = table.apply(record)
        #expect(table.hash == 0x1A73_DC50_A4BD_1385)
    }

    @Test func firstComeFirstServed() {
        var table = fold([open(Self.a), open(Self.b), want(Self.a), want(Self.b)])
        #expect(line(table) == [Self.a, Self.b])
        #expect(table.lines["n"]?.token == 3)
        let change = table.apply(.foreign(.leave(Self.a, "n", attempt: 1)))
        #expect(change.promoted == ["n"])
        #expect(line(table) == [Self.b])
        #expect(table.lines["n"]?.token == 5)
        _ = table.apply(.foreign(.leave(Self.b, "n", attempt: 1)))
        #expect(table.lines.isEmpty)
    }

    @Test func whoLeavesFromTheMiddleChangesNoHolder() {
        var table = fold([open(Self.a), open(Self.b), want(Self.a), want(Self.b)])
        let change = table.apply(.foreign(.leave(Self.b, "n", attempt: 1)))
        #expect(change.hasEffect && change.promoted.isEmpty)
        #expect(table.lines["n"]?.token == 3)
    }

    @Test func aTryStandsOnlyInAnEmptyLine() {
        #expect(line(fold([open(Self.a), want(Self.a, isTry: true)])) == [Self.a])
        #expect(line(fold([open(Self.a), open(Self.b), want(Self.a), want(Self.b, isTry: true)])) == [Self.a])
    }

    @Test func anAttemptHasOnePlace() {
        #expect(line(fold([open(Self.a), want(Self.a), want(Self.a)])) == [Self.a])
        #expect(line(fold([open(Self.a), want(Self.a), want(Self.a, 2)])) == [Self.a, Self.a])
    }

    @Test func withoutASessionNothingTakesEffect() {
        for body in [
            want(Self.a), .alive(Self.a), .leave(Self.a, "n", attempt: 1), .close(Self.a), .expire(Self.a, seen: 0),
            .done(Self.a, "n", .number(1)),
        ] as [LogRecord.Body] {
            var table = LockTable(next: 0)
            #expect(table.apply(.foreign(body)) == LockTable.Change())
            #expect(table.next == 1 && table.hash == 0 && table.highest == 0)
        }
    }

    @Test(arguments: [Duration.zero, .milliseconds(999), .milliseconds(600_001)])
    func aSessionOfAnotherLifeTimeIsNone(_ ttl: Duration) { #expect(fold([open(Self.a, ttl: ttl)]).sessions.isEmpty) }

    /// Exactly the records that prove life are those that an `expire` must not have overlooked †.
    @Test func whatProvesLifeForestallsAnExpiry() {
        let own: [LogRecord.Body] = [
            open(Self.a), .alive(Self.a), want(Self.a), want(Self.a, isTry: true), .leave(Self.a, "n", attempt: 9),
            .done(Self.a, "n", .number(1)),
        ]
        for body in own {
            var table = fold([open(Self.a)])
            #expect(table.apply(.foreign(body)).proven == Self.a)
            _ = table.apply(.foreign(.expire(Self.a, seen: 0)))
            #expect(table.sessions[Self.a] != nil)
            _ = table.apply(.foreign(.expire(Self.a, seen: 1)))
            #expect(table.sessions.isEmpty)
        }
        let others: [LogRecord.Body] = [
            .expire(Self.a, seen: 5), .yield("n", token: 1, from: ""), .alive(Self.b),
            .snapshot(SnapshotChunk(name: SnapshotName(asOf: 0, id: Self.a), index: 0, count: 1, bytes: [])),
        ]
        for body in others {
            var table = fold([open(Self.a)])
            #expect(table.apply(.foreign(body)).proven == nil)
            _ = table.apply(.foreign(.expire(Self.a, seen: 0)))
            #expect(table.sessions.isEmpty)
        }
    }

    @Test func theEndOfASessionIsTheEndOfItsPlaces() {
        for end in [.close(Self.a), .expire(Self.a, seen: 2)] as [LogRecord.Body] {
            let table = fold([open(Self.a), open(Self.b), want(Self.a), want(Self.b), end])
            #expect(table.sessions.keys.sorted() == [Self.b])
            #expect(line(table) == [Self.b])
            #expect(table.lines["n"]?.token == 5)
        }
    }

    @Test func tokensGrowWhateverTheNumbers() {
        var random = SeededGenerator(TestSeed.next())
        var table = fold([open(Self.a), open(Self.b)])
        var highest: UInt64 = 0
        for attempt in 0..<2000 as Range<UInt64> {
            let id = Bool.random(using: &random) ? Self.a : Self.b
            let numbers: [UInt64] = [
                0, 1, .max, 1 << 62, (1 << 62) - 1 - UInt64.random(in: 0...(1 << 61), using: &random),
            ]
            for body in [want(id, attempt), .leave(id, "n", attempt: attempt)] {
                var record = LogRecord.foreign(body)
                record.number = attempt < 1000 ? numbers[Int.random(in: 0...3, using: &random)] : numbers[4]
                _ = table.apply(record)
                guard let token = table.lines["n"]?.token else { continue }
                #expect(token > highest && token < 1 << 63)
                highest = token
            }
        }
    }

    /// The sum that is kept is that of the parts, after whatever has happened.
    @Test func aSnapshotHasTheSameHashAtEveryPlace() throws {
        var random = SeededGenerator(TestSeed.next())
        var table = LockTable(next: 0)
        let ids = (0..<4 as Range<UInt64>).map { RandomID(high: $0, low: $0) }
        for offset in 0..<3000 as Range<Int64> {
            let id = ids[Int.random(in: 0...3, using: &random)]
            let name: LockName = Bool.random(using: &random) ? "x" : "y"
            let attempt = UInt64.random(in: 0...3, using: &random)
            let bodies: [LogRecord.Body] = [
                .open(id, ttl: .seconds(5), partitions: 2, owner: "me"), .alive(id),
                .want(id, name, attempt: attempt, isTry: attempt == 0), .want(id, name, attempt: attempt, isTry: false),
                .leave(id, name, attempt: attempt), .close(id), .expire(id, seen: offset - 1),
                .done(id, name, .number(UInt64(offset) / 2)),
            ]
            _ = table.apply(.foreign(bodies[Int.random(in: 0...7, using: &random)]))
            guard offset % 10 == 0 else { continue }
            let chunks = LogSnapshot.chunks(of: table, id: ids[0], size: 1)
            let again = try #require(LogSnapshot.table(SnapshotName(asOf: offset, id: ids[0]), chunks))
            #expect(again == table)
        }
    }
}
