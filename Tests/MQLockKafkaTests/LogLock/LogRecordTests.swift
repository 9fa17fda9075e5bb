import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

/// The bytes of the log, made by another program than the one that is tested; the article *The log lock* has the same.
@Suite struct LogRecordTests {
    private static let session = RandomID(high: 0x0011_2233_4455_6677, low: 0x8899_AABB_CCDD_EEFF)
    private static let number: UInt64 = 1 << 40
    private static let none = "ffffffffffffffff00000000000000000000000000000000"
    private static let id = "00112233445566778899aabbccddeeff"

    private static func record(
        _ offset: UInt64, _ applied: Int64, _ hash: UInt64, _ body: LogRecord.Body, _ snapshot: SnapshotName? = nil
    ) -> LogRecord {
        LogRecord(number: number + offset, applied: applied, hash: hash, snapshot: snapshot, body: body)
    }

    static let vectors: [(LogRecord, String)] = [
        (
            record(0, -1, 0, .open(session, ttl: .seconds(30), partitions: 1, owner: "web/7")),
            "4d514c01010000010000000000ffffffffffffffff0000000000000000\(none)\(id)0000753000000001057765622f37"
        ),
        (
            record(1, 0, 0x1122_3344_5566_7788, .alive(session), SnapshotName(asOf: 7, id: session)),
            "4d514c01020000010000000001000000000000000011223344556677880000000000000007\(id)\(id)"
        ),
        (
            record(2, 1, 1, .want(session, "job", attempt: 5, isTry: false)),
            "4d514c0103000001000000000200000000000000010000000000000001\(none)\(id)000000000000000500036a6f62"
        ),
        (
            record(3, 1, 1, .want(session, "\u{e9}", attempt: 6, isTry: true)),
            "4d514c0103000001000000000300000000000000010000000000000001\(none)\(id)00000000000000060102c3a9"
        ),
        (
            record(4, 2, 1, .leave(session, "job", attempt: 5)),
            "4d514c0104000001000000000400000000000000020000000000000001\(none)\(id)0000000000000005036a6f62"
        ),
        (
            record(5, 3, 1, .close(session)),
            "4d514c0105000001000000000500000000000000030000000000000001\(none)\(id)"
        ),
        (
            record(6, 4, 1, .expire(session, seen: 3)),
            "4d514c0106000001000000000600000000000000040000000000000001\(none)\(id)0000000000000003"
        ),
        (
            record(7, 4, 1, .yield("job", token: number + 3, from: "ops")),
            "4d514c0107000001000000000700000000000000040000000000000001\(none)036a6f620000010000000003036f7073"
        ),
        (
            record(
                8, 5, 1,
                .snapshot(
                    SnapshotChunk(
                        name: SnapshotName(asOf: 5, id: session), index: 0, count: 1, bytes: [UInt8](hex: chunk)))),
            "4d514c0108000001000000000800000000000000050000000000000001\(none)\(id)00000000000000050000000000000001"
                + chunk
        ),
        (
            record(
                9, 1, 0xDAB6_8BB2_8D78_9871,
                .done(
                    session, "job",
                    DoneText(
                        DoneMark(
                            period: "day", start: 1_795_996_800_000, began: 1_796_007_600_123, ended: 1_796_007_725_456,
                            owner: "web/7", fencingToken: FencingToken(rawValue: number + 2)!), session))),
            "4d514c010900000100000000090000000000000001dab68bb28d789871\(none)\(id)036a6f62\(done)"
        ),
    ]

    /// Of a table with one session, which holds one name.
    private static let chunk =
        "000001000000000901\(id)00007530000000010000000000000004057765622f37"
        + "02036a6f6200000100000000030000000100112233445566778899aabbccddeeff00000000000000050000000000000002"

    /// The token and the text of a mark.
    private static let done =
        "000001000000000200a9"
        + "6d716c6f636b2e763120646f6e652030303131323233333434353536363737383839396161626263636464656566660a"
        + "626567616e20313739363030373630303132330a656e64656420313739363030373732353435360a66656e6365203130"
        + "39393531313632373737380a6f7574636f6d6520636f6d706c657465640a6f776e6572207765622f370a706572696f64"
        + "206461790a737461727420313739353939363830303030300a"

    @Test(arguments: vectors.indices) func recordsHaveTheirBytes(_ index: Int) {
        let (record, hex) = Self.vectors[index]
        #expect(record.bytes == [UInt8](hex: hex))
        #expect(LogRecord.read([UInt8](hex: hex)) == .record(record))
    }

    /// A part, an addition, another first byte: never another record, never a trap.
    @Test func whatIsNoRecordHasNoEffect() {
        for (record, _) in Self.vectors {
            let bytes = record.bytes
            for count in 0..<bytes.count {
                if case .snapshot = record.body, count >= bytes.count - Self.chunk.utf8.count / 2 { continue }
                #expect(LogRecord.read(Array(bytes.prefix(count))) == .unreadable)
            }
            if case .snapshot = record.body {} else { #expect(LogRecord.read(bytes + [0]) == .unreadable) }
            #expect(LogRecord.read([0] + bytes) == .unreadable)
            #expect(LogRecord.read(Array("MQL".utf8) + [2] + bytes) == .newer(version: 2))
        }
        #expect(LogRecord.read([]) == .unreadable)
        #expect(LogRecord.read(Array("MQL".utf8)) == .unreadable)
    }

    /// What the owners of shards write says whose the topic is, by its key; our own records are ours whatever their key.
    @Test func claimsAreKnownByTheirKeys() {
        for key in [ClaimRecord.key(0), ClaimRecord.key(99_999), ProducedRecord.warmUp("t").key ?? []] {
            #expect(LogRecord.read(Array("{}".utf8), key: key) == .claim)
            #expect(LogRecord.read([], key: key) == .claim)
            for (record, _) in Self.vectors { #expect(LogRecord.read(record.bytes, key: key) == .record(record)) }
        }
        #expect(LogRecord.read(Array("{}".utf8), key: Array("order-1".utf8)) == .unreadable)
    }

    /// Nobody reads on where only owners of shards write. A claim by mistake stops nobody.
    @Test func aTopicOfShardsIsNoLog() {
        let record = LogEntry.Content.record(Self.vectors[0].0)
        let cases: [([LogEntry.Content], isOfShards: Bool)] = [
            ([.claim], true), ([.claim, .claim], true), ([.unreadable, .claim], true), ([.unreadable], false),
            ([record, .claim], false), ([.claim, record], false), ([record], false),
        ]
        for first in [0, 7] as [Int64] {
            for (contents, isOfShards) in cases {
                let last = contents.enumerated().map {
                    LogEntry(offset: first + Int64($0.offset), timestamp: 0, content: $0.element)
                }
                var start = LogStart(LogLook(bounds: first..<first + Int64(contents.count), last: last))
                var isRefused = false
                if case .shards = start.begin(at: .now) { isRefused = true }
                #expect(isRefused == isOfShards, "\(contents)")
            }
        }
    }

    /// Bytes that are changed at random make a record, or none; the same record never has other bytes; and whoever reads the
    /// log, or starts from it, takes all of them.
    @Test func everyReadableRecordIsWrittenAsItWasRead() {
        var random = SeededGenerator(TestSeed.next())
        let now = ContinuousClock.now
        var view = LogView(LockTable(next: 0), snapshot: nil, at: now)
        view.compares = true
        var start = LogStart(LogLook(bounds: 0..<20_000, last: []))
        _ = start.begin(at: now)
        for offset in 0..<20_000 as Range<Int64> {
            guard var bytes = Self.vectors.randomElement(using: &random)?.0.bytes else { return }
            for _ in 0..<Int.random(in: 0...3, using: &random) {
                let place = Int.random(in: 4..<bytes.count, using: &random)
                let value: UInt8 = [0, 1, 0x7F, 0x80, 0xFF, .random(in: 0...255, using: &random)].randomElement() ?? 0
                // A number of eight bytes has many values that are none of one byte's.
                for index in place..<min(bytes.count, place + (Bool.random(using: &random) ? 1 : 8)) {
                    bytes[index] = value
                }
            }
            let content = LogRecord.read(bytes)
            let entry = LogEntry(offset: view.table.next, timestamp: .max, content: content)
            if case .contradicted = view.read(entry, isFresh: true, at: now) { view.compares = false }
            _ = start.read(LogEntry(offset: offset, timestamp: .min, content: content), at: now)
            guard case .record(let record) = content else { continue }
            #expect(LogRecord.read(record.bytes) == .record(record))
        }
    }

    @Test func aSnapshotIsTheTableAgain() throws {
        let name = SnapshotName(asOf: 5, id: Self.session)
        let chunk = SnapshotChunk(name: name, index: 0, count: 1, bytes: [UInt8](hex: Self.chunk))
        let table = try #require(LogSnapshot.table(name, [chunk]))
        #expect(table.hash == 0x1725_7F27_8E98_D3CA)
        #expect(LogSnapshot.chunks(of: table, id: Self.session) == [chunk])
        let marked = SnapshotChunk(
            name: name, index: 0, count: 1, bytes: [UInt8](hex: Self.chunk + "03036a6f62" + Self.done))
        let done = try #require(LogSnapshot.table(name, [marked]))
        #expect(done.hash == 0xA195_F56A_DE07_4C4E)
        #expect(done.done.marks(of: "job").map(\.period) == ["day"])
        #expect(LogSnapshot.chunks(of: done, id: Self.session) == [marked])
    }
}

extension [UInt8] {
    init(hex: String) {
        let digits = hex.utf8.compactMap { $0.hexadecimalDigit(.lower) }
        self = stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
