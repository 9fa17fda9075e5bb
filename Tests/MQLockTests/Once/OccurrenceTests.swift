import MQLockTesting
import Testing

@testable import MQLock

/// Whether a mark says that the job has been done.
@Suite(.timeLimit(.minutes(1))) struct OccurrenceTests {
    private let day: Int64 = 24 * 3600 * 1000
    /// A midnight.
    private let midnight: Int64 = 20_000 * 24 * 3600 * 1000

    private func mark(_ period: Period, began: Int64, fence: UInt64 = 1, start: Int64? = nil) -> DoneMark {
        DoneMark(
            period: period.description, start: start, began: began, ended: began, owner: "web-1",
            fencingToken: FencingToken(rawValue: fence)!)
    }

    /// By machines at these moments of their clocks: done by the first, looked at by the second.
    private func isDone(_ period: Period, at first: Int64, seenAt second: Int64) throws -> Bool {
        let before = try Occurrence(period, at: first)
        let mark = mark(period, began: first, start: before.start)
        return try Occurrence(period, at: second).doneMark(among: [mark], of: "job") != nil
    }

    @Test func aTimeIsOverWhenItIs() throws {
        let period = try Period.every(.seconds(3600))
        let began = midnight + 123
        for (after, isDone) in [(Int64(0), true), (3_599_999, true), (3_600_000, false), (-5000, true), (-day, true)] {
            #expect(try self.isDone(period, at: began, seenAt: began + after) == isDone, "\(after)")
        }
    }

    @Test func aDayIsOverAtMidnight() throws {
        for (first, second, isDone) in [
            (midnight, midnight + day - 1, true), (midnight, midnight + day, false), (midnight - 1, midnight, false),
            // The second machine's clock is behind: it does not do yesterday's after today's.
            (midnight + 1, midnight - 1, true), (midnight + day - 1, midnight, true),
        ] {
            #expect(
                try self.isDone(.day, at: first, seenAt: second) == isDone, "\(first - midnight), \(second - midnight)")
        }
    }

    @Test func aKeyIsDoneWhateverTheClocksSay() throws {
        let key = try Period.key("2026-11-30")
        for moment in [0, midnight, Int64.max, Int64.min] {
            #expect(try Occurrence(key, at: moment).doneMark(among: [mark(key, began: .max)], of: "job") != nil)
            let other = mark(try .key("2026-12-01"), began: moment)
            #expect(try Occurrence(key, at: moment).doneMark(among: [other], of: "job") == nil)
        }
    }

    /// Between two keys no order is known: a machine that is behind at midnight finds its day among the last marks.
    @Test func eachOfTheLastKeysIsDone() throws {
        let keys = try (1...8).map { try Period.key("key \($0)") }
        let marks = keys.enumerated().map { mark($1, began: midnight, fence: UInt64($0 + 1)) }
        for (index, key) in keys.enumerated() {
            let found = try Occurrence(key, at: midnight).doneMark(among: marks.shuffled(), of: "job")
            #expect(found?.fencingToken.rawValue == UInt64(index + 1))
        }
    }

    @Test func theNewestMarkIsShown() throws {
        let marks = [3, 9, 4].map { mark(.day, began: midnight, fence: $0, start: midnight) }
        #expect(try Occurrence(.day, at: midnight).doneMark(among: marks, of: "job")?.fencingToken.rawValue == 9)
    }

    /// One that is far ahead would keep a job from being done for years.
    @Test func aMarkOfTomorrowIsRefusedWhereClocksDecide() throws {
        for period in [Period.day, .hour, .month, try .every(.seconds(60))] {
            #expect(try isDone(period, at: midnight + day, seenAt: midnight))
            let error = #expect(throws: LockError.self) { try isDone(period, at: midnight + day + 1, seenAt: midnight) }
            #expect(error?.code == .invalidConfiguration)
        }
    }

    /// What was chosen for a job may change; what was done under the old one still counts, by when it began.
    @Test func aMarkOfAnotherKindCountsByItsTime() throws {
        let hourly = mark(try .every(.seconds(3600)), began: midnight + 10)
        #expect(try Occurrence(.day, at: midnight + 20).doneMark(among: [hourly], of: "job") != nil)
        #expect(try Occurrence(.day, at: midnight + day).doneMark(among: [hourly], of: "job") == nil)
        let daily = mark(.day, began: midnight + 10, start: midnight)
        let period = try Period.every(.seconds(3600))
        #expect(try Occurrence(period, at: midnight + 20).doneMark(among: [daily], of: "job") != nil)
        #expect(try Occurrence(period, at: midnight + 10 + 3_600_000).doneMark(among: [daily], of: "job") == nil)
    }

    /// Clocks and marks show anything: nothing traps.
    @Test func everyMomentHasAnAnswer() throws {
        let moments = [Int64.min, -1, 0, 1, midnight, 1 << 50, 1 << 62, .max]
        let periods = [Period.day, .hour, .week, .month, try .every(Period.longest), try .key("k")]
        for (period, moment) in periods.flatMap({ period in moments.map { (period, $0) } }) {
            let occurrence = try Occurrence(period, at: moment)
            for began in moments {
                for start in moments.map(Optional.some) + [nil] {
                    _ = try? occurrence.doneMark(
                        among: [mark(period, began: began, start: start)], of: "job")
                }
            }
        }
    }
}
