import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

/// A log whose records are deleted after a day, and programs that come by for a second, one at a time.
@Suite struct LogRetentionTests {
    private static let day: Int64 = 24 * 3600 * 1000

    private struct Log {
        var entries: [LogEntry] = []
        var time: Int64 = 1_793_491_200_000
        var origin = ContinuousClock.now
        /// What has been deleted.
        var start: Int64 = 0

        mutating func pass(_ milliseconds: Int64) {
            time += milliseconds
            origin = origin.advanced(by: .milliseconds(milliseconds))
            while start < Int64(entries.count), entries[Int(start)].timestamp < time - LogRetentionTests.day {
                start += 1
            }
        }

        /// Asks, and leaves.
        /// - Parameter isClosed: whether in good order.
        mutating func visit(_ request: MarkRequest, isClosed: Bool) -> [DoneMark]? {
            let session = LogSession.Settings(ttl: .seconds(10), margin: .seconds(1), partitions: 1, owner: "o")
            var machine = LogPartition(
                .init(session: session, backoff: GrowingDelay(.milliseconds(100) ... .seconds(1))))
            let moment = LogSession.Moment(now: origin, wall: time)
            var position: Int64?
            var answer: [DoneMark]?
            var effects = machine.request(1, request, at: moment)
            while true {
                while !effects.isEmpty {
                    switch effects.removeFirst() {
                    case .ask:
                        let look = LogLook(
                            bounds: start..<Int64(entries.count), last: entries[Int(start)...].suffix(20))
                        effects += machine.answered(look, at: moment)
                    case .seek(let offset): position = offset
                    case .stopReading: position = nil
                    case .write(let record):
                        entries.append(
                            LogEntry(
                                offset: Int64(entries.count), timestamp: time, content: LogRecord.read(record.bytes)))
                    case .marks(_, let marks): answer = marks
                    case .marked: answer = []
                    default: break
                    }
                }
                guard let next = position, next < Int64(entries.count) else { break }
                position = next + 1
                effects += machine.read(entries[Int(next)], at: moment)
            }
            if isClosed {
                for case .write(let record) in machine.stop(at: moment) {
                    entries.append(
                        LogEntry(offset: Int64(entries.count), timestamp: time, content: .record(record)))
                }
            }
            return answer
        }
    }

    /// Each time a part of the log is gone, and after a while all of what was there at first.
    @Test func marksOutliveTheRetentionWhenSomebodyComesByWithinIt() throws {
        let seed = TestSeed.next()
        var random = SeededGenerator(seed)
        for _ in 0..<50 {
            var log = Log()
            var written: [DoneText] = []
            for visit in 0..<30 as Range<UInt64> {
                let text = DoneText.number(visit)
                let isRead = visit > 0 && Bool.random(using: &random)
                let answer = log.visit(
                    isRead ? .read("n") : .write("n", text), isClosed: Bool.random(using: &random))
                let marks = try #require(answer, "visit \(visit), MQLOCK_SEED=\(seed)")
                if !isRead { written.append(text) }
                if isRead {
                    #expect(marks == written.suffix(8).compactMap(\.mark), "visit \(visit), MQLOCK_SEED=\(seed)")
                }
                // Within the hour, or shortly before the retention less the hour.
                log.pass(
                    Int64.random(
                        in: Bool.random(using: &random) ? 0...3_000_000 : 60_000_000...82_000_000, using: &random))
            }
            #expect(log.start > 0)
        }
    }

    @Test func whatNobodyHasComeByForIsForgotten() {
        var log = Log()
        #expect(log.visit(.write("n", .number(1)), isClosed: true) == [])
        log.pass(Self.day + 1)
        #expect(log.visit(.read("n"), isClosed: true) == [])
    }
}
