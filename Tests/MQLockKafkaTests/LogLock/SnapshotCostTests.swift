import MQLock
import Testing

@testable import MQLockKafka

/// How much of the log is snapshots, whatever their size and however busy the log is.
@Suite struct SnapshotCostTests {
    private struct Bytes {
        var records = 0
        var snapshots = 0
        var largest = 0
    }

    /// Marks of so many names, eight of each.
    private func marks(of names: Int) -> [LogRecord.Body] {
        (0..<names).flatMap { name in
            (1...8 as ClosedRange<UInt64>).compactMap { number in
                (try? LockName("job-\(name)")).map { .done(LogDesk.own, $0, .number(number)) }
            }
        }
    }

    /// A session that runs for an hour and a half, and another that writes so many records a minute.
    private func bytes(names: Int, perMinute: Int) -> Bytes {
        var desk = LogDesk(ttl: .seconds(30))
        desk.settle()
        for body in marks(of: names) { desk.put(body) }
        desk.put(LogDesk.openOther(ttl: .seconds(600)))
        var bytes = Bytes()
        for _ in 0..<90 {
            for part in 0..<6 {
                desk.pass(.seconds(10))
                for _ in 0..<(perMinute * (part + 1) / 6 - perMinute * part / 6) { desk.put(.alive(LogDesk.other)) }
                // A session in use, so that it goes on.
                desk.want(UInt64(desk.log.count) + 1)
                desk.tick()
                while !desk.outbox.isEmpty {
                    let record = desk.outbox.removeFirst()
                    if case .snapshot(let chunk) = record.body {
                        bytes.snapshots += record.bytes.count
                        bytes.largest = max(bytes.largest, chunk.bytes.count)
                    } else {
                        bytes.records += record.bytes.count
                    }
                    desk.put(record)
                }
                for attempt in desk.session.attempts.keys { desk.take(desk.session.leave(attempt, at: desk.moment)) }
            }
            bytes.records += perMinute * LogRecord.usualSize
            desk.effects = []
        }
        return bytes
    }

    /// No more than the records themselves, one for each hour, and the first.
    @Test(arguments: [(0, 0), (5, 0), (100, 0), (300, 0), (100, 300)])
    func snapshotsAreNotMostOfTheLog(names: Int, perMinute: Int) {
        let bytes = bytes(names: names, perMinute: perMinute)
        #expect(bytes.largest > 100 * 8 * names)
        #expect(bytes.snapshots > 0)
        #expect(bytes.snapshots < bytes.records * 3 / 2 + 3 * bytes.largest, "\(bytes)")
    }
}
