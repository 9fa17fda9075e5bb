import Foundation
import MQLockTesting
import Testing

@testable import MQLock

/// When a schedule's ticks are.
@Suite(.timeLimit(.minutes(1))) struct ScheduleTests {
    /// Clocks that are changed: Berlin at 01:00 UTC, from 02:00 to 03:00 and from 03:00 to 02:00; Lord Howe by half an hour;
    /// Beirut at midnight; Apia had no December 30th in 2011.
    @Test(
        arguments: [
            // Fixed times that are left out: at the change, once for all of them. Those that come twice: the first.
            ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]),
            (
                "0,30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
                ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"]
            ),
            (
                "30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
                ["2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"]
            ),
            ("0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-30T01:00:00Z"]),
            ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]),
            ("0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", ["2026-10-25T02:00:00Z", "2026-10-26T02:00:00Z"]),
            // What follows the clock.
            ("0 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", ["2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"]),
            (
                "30 * * * *", "Europe/Berlin", "2026-10-25T00:00:00Z",
                ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"]
            ),
            (
                "*/30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z",
                ["2026-03-30T00:00:00Z", "2026-03-30T00:30:00Z"]
            ),
            (
                "*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z",
                [
                    "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z",
                    "2026-10-26T01:00:00Z",
                ]
            ),
            (
                "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z",
                ["2026-10-03T15:30:00Z", "2026-10-04T15:15:00Z"]
            ),
            (
                "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z",
                ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]
            ),
            ("0 0 * * *", "Asia/Beirut", "2026-03-28T00:00:00Z", ["2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"]),
            ("30 23 * * *", "Asia/Beirut", "2026-10-24T00:00:00Z", ["2026-10-24T20:30:00Z", "2026-10-25T21:30:00Z"]),
            ("0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", ["2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"]),
            ("0 12 30 12 *", "Pacific/Apia", "2011-12-29T23:00:00Z", ["2011-12-30T10:00:00Z", "2012-12-29T22:00:00Z"]),
            ("0 3 * * *", "Asia/Kathmandu", "2026-06-01T00:00:00Z", ["2026-06-01T21:15:00Z", "2026-06-02T21:15:00Z"]),
        ] as [(String, String, String, [String])])
    func clocksThatAreChanged(_ text: String, _ zone: String, _ start: String, _ ticks: [String]) throws {
        let schedule = try Schedule.cron(text, in: zone)
        var (moment, found) = (Int64(try Date(start, strategy: .iso8601).timeIntervalSince1970) * 1000, [String]())
        for _ in ticks {
            let next = try #require(schedule.next(after: moment))
            #expect(
                schedule.latest(upTo: next, after: moment) == next
                    && schedule.latest(upTo: next - 1, after: moment) == nil)
            found.append(WallClock.text(next))
            moment = next
        }
        #expect(found == ticks)
    }

    @Test(
        arguments: Duration.extremes + [
            .seconds(1), .milliseconds(999), Period.longest, Period.longest + .milliseconds(1),
        ])
    func anIntervalIsOneOrIsRefused(_ interval: Duration) throws {
        let makesSense = interval >= .seconds(1) && interval <= Period.longest
        do throws(LockError) {
            let schedule = try Schedule.every(interval)
            #expect(makesSense)
            let milliseconds = interval.nanoseconds / 1_000_000
            for moment in [0, 1, 1_796_040_000_123, milliseconds - 1, milliseconds] {
                let next = schedule.next(after: moment) ?? -1
                #expect(next > moment && next <= moment + milliseconds && next % milliseconds == 0)
                let latest = schedule.latest(upTo: moment, after: -1) ?? .min
                #expect(latest <= moment && latest > moment - milliseconds && latest % milliseconds == 0)
            }
        } catch {
            #expect(!makesSense && error.code == .invalidConfiguration)
        }
    }

    /// Whatever a clock shows.
    @Test(arguments: [Int64.min, -1, 0, 1, 1 << 50, (1 << 50) - 1, 1 << 60, .max]) func everyMomentHasAnAnswer(
        _ moment: Int64
    ) throws {
        for schedule in [
            try Schedule.every(.seconds(1)), try .every(Period.longest), try .cron("* * * * *"),
            try .cron("0 0 29 2 *", in: "Europe/Berlin"),
        ] {
            if let next = schedule.next(after: moment) { #expect(next > moment && (0...1 << 50).contains(next)) }
            for floor in [Int64.min, -1, 0, moment] {
                if let latest = schedule.latest(upTo: moment, after: floor) {
                    #expect(latest <= moment && latest > floor && (0...1 << 50).contains(latest))
                }
            }
            for missed in MissedTicks.allCases {
                var cursor = TickCursor(schedule, missed, at: Occurrence.bounded(moment))
                _ = cursor.step(at: Occurrence.bounded(moment))
                _ = cursor.step(at: 0)
            }
        }
    }

    @Test func schedulesAreShown() throws {
        #expect("\(try Schedule.every(.seconds(5400)))" == "every 90m")
        #expect("\(try Schedule.cron(" 0  3 * * * ", in: "Europe/Berlin"))" == "at 0 3 * * * in Europe/Berlin")
        let (utc, other) = (try Schedule.cron("0 3 * * *"), try Schedule.cron("0 3 * * *", in: "Europe/Berlin"))
        let again = try Schedule.cron("0  3 * * *", in: "UTC")
        #expect(utc != other && utc == again)
    }
}
