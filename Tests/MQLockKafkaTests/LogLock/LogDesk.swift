import MQLock

@testable import MQLockKafka

/// A log, and a session that reads it.
struct LogDesk {
    static let own = RandomID(high: 5, low: 5)
    static let other = RandomID(high: 9, low: 9)

    var session: LogSession
    var log: [LogRecord.Body] = []
    var effects: [LogSession.Effect] = []
    var now = ContinuousClock.now
    var wall: Int64 = 1_793_491_200_000
    /// Written, and not in the log yet.
    var outbox: [LogRecord] = []

    init(ttl: Duration = .seconds(10), partitions: UInt32 = 1) {
        let settings = LogSession.Settings(
            ttl: ttl, margin: ttl / 10, partitions: partitions, owner: "own")
        let view = LogView(LockTable(next: 0), snapshot: nil, at: now)
        session = LogSession(Self.own, settings, view, at: .init(now: now, wall: wall))
        take(session.begin(at: moment))
    }

    var moment: LogSession.Moment { .init(now: now, wall: wall) }

    mutating func pass(_ duration: Duration) {
        now = now.advanced(by: duration)
        wall += duration.nanoseconds / 1_000_000
    }

    mutating func take(_ new: [LogSession.Effect]) {
        for effect in new { if case .write(let record) = effect { outbox.append(record) } }
        effects += new
    }

    /// Everything that was written gets into the log, and is read.
    mutating func settle() {
        while !outbox.isEmpty { put(outbox.removeFirst()) }
    }

    mutating func put(_ record: LogRecord, age: Int64 = 0) {
        let entry = LogEntry(offset: Int64(log.count), timestamp: wall - age, content: .record(record))
        log.append(record.body)
        take(session.read(entry, at: moment))
    }

    mutating func put(_ bodies: LogRecord.Body..., age: Int64 = 0) {
        for body in bodies { put(.foreign(body), age: age) }
    }

    mutating func tick() { take(session.tick(at: moment)) }
    mutating func want(_ attempt: UInt64, isTry: Bool = false) {
        take(session.want(attempt, "n", isTry: isTry, at: moment))
    }

    var written: [LogRecord.Body] {
        effects.compactMap { if case .write(let record) = $0 { record.body } else { nil } }
    }
    var isGranted: Bool { effects.contains { if case .granted = $0 { true } else { false } } }

    static func openOther(partitions: UInt32 = 1, ttl: Duration = .seconds(10)) -> LogRecord.Body {
        .open(other, ttl: ttl, partitions: partitions, owner: "other")
    }
}
