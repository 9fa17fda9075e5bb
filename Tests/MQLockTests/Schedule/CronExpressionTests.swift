import Foundation
import MQLockTesting
import Testing

@testable import MQLock

/// What people write in crontabs.
@Suite(.inBackground, .timeLimit(.minutes(20))) struct CronExpressionTests {
    /// Computed by hand; the first ticks after Monday, 2026-11-30, 12:00 UTC.
    @Test(arguments: [
        ("* * * * *", ["2026-11-30T12:01:00Z", "2026-11-30T12:02:00Z"]),
        ("0 3 * * *", ["2026-12-01T03:00:00Z", "2026-12-02T03:00:00Z"]),
        (" 00\t03  *  * * ", ["2026-12-01T03:00:00Z", "2026-12-02T03:00:00Z"]),
        ("*/20 * * * *", ["2026-11-30T12:20:00Z", "2026-11-30T12:40:00Z", "2026-11-30T13:00:00Z"]),
        ("10-59/20 * * * *", ["2026-11-30T12:10:00Z", "2026-11-30T12:30:00Z", "2026-11-30T12:50:00Z"]),
        ("5,50-52 23 * * *", ["2026-11-30T23:05:00Z", "2026-11-30T23:50:00Z", "2026-11-30T23:51:00Z"]),
        ("0 9 * * mon-fri", ["2026-12-01T09:00:00Z", "2026-12-02T09:00:00Z", "2026-12-03T09:00:00Z"]),
        ("0 9 * * SAT,Sun", ["2026-12-05T09:00:00Z", "2026-12-06T09:00:00Z", "2026-12-12T09:00:00Z"]),
        ("0 9 * * 7", ["2026-12-06T09:00:00Z", "2026-12-13T09:00:00Z"]),
        (
            "0 9 * * 5-7",
            ["2026-12-04T09:00:00Z", "2026-12-05T09:00:00Z", "2026-12-06T09:00:00Z", "2026-12-11T09:00:00Z"]
        ),
        ("0 0 1 jan-mar/2 *", ["2027-01-01T00:00:00Z", "2027-03-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        // Either day is enough.
        (
            "0 0 13 * 5",
            ["2026-12-04T00:00:00Z", "2026-12-11T00:00:00Z", "2026-12-13T00:00:00Z", "2026-12-18T00:00:00Z"]
        ),
        // With a star in one, both are needed: odd days that are Mondays.
        ("0 0 */2 * 1", ["2026-12-07T00:00:00Z", "2026-12-21T00:00:00Z"]),
        ("0 0 29 2 *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"]),
        ("0 0 31 * *", ["2026-12-31T00:00:00Z", "2027-01-31T00:00:00Z", "2027-03-31T00:00:00Z"]),
        ("@hourly", ["2026-11-30T13:00:00Z", "2026-11-30T14:00:00Z"]),
        ("@daily", ["2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z"]),
        ("@midnight", ["2026-12-01T00:00:00Z", "2026-12-02T00:00:00Z"]),
        ("@Weekly", ["2026-12-06T00:00:00Z", "2026-12-13T00:00:00Z"]),
        ("@monthly", ["2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"]),
        ("@yearly", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
        ("@annually", ["2027-01-01T00:00:00Z", "2028-01-01T00:00:00Z"]),
    ])
    func whatIsReadIsDoneThen(_ text: String, _ ticks: [String]) throws {
        let schedule = try Schedule.cron(text)
        var (moment, found) = (try milliseconds("2026-11-30T12:00:00Z"), [String]())
        for _ in ticks {
            moment = try #require(schedule.next(after: moment))
            found.append(WallClock.text(moment))
            #expect(schedule.latest(upTo: moment + 59_999, after: -1) == moment)
        }
        #expect(found == ticks)
    }

    @Test(arguments: [
        "", " ", "*", "* * * *", "0 0 3 * * *", "* * * * * 2026", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * 32 * *",
        "* * * 0 *", "* * * 13 *", "* * * * 8", "-1 * * * *", "1- * * * *", "-5 * * * *", "1-2-3 * * * *",
        "1,,2 * * * *",
        ", * * * *", "1, * * * *", "5-1 * * * *", "* 22-2 * * *", "* * * * fri-mon", "* * * * sat-sun",
        "* * * dec-jan *",
        "*/0 * * * *", "*/60 * * * *", "*/ * * * *", "*/a * * * *", "*/-1 * * * *", "*/1/2 * * * *", "5/15 * * * *",
        "1-5/9 * * * *", "** * * * *", "*5 * * * *", "*-5 * * * *", "a * * * *", "mon * * * *", "* * * mon *",
        "* * * * jan", "* * * januar *", "001 * * * *", "1.5 * * * *", "+1 * * * *", "٣ * * * *", "* * L * *",
        "* * ? * *",
        "* * * * 5#2", "* * 15W * *", "H * * * *", "@reboot", "@", "@every 5m", "@daily * * * *", "TZ=UTC 0 3 * * *",
        "0 3 * * * /bin/true", "0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "0 0 30-31 feb *", "0\n3 * * *", "0 3 * * *\n",
        "99999999999999999999 * * * *", "*\u{301} * * * *", "0 3 * * *\u{202E}",
        String(repeating: "1,", count: 100_000) + "1 * * * *".replacing("1 ", with: "60 "),
    ])
    func whatIsNoExpressionIsRefused(_ text: String) throws {
        let error = #expect(throws: LockError.self) { try Schedule.cron(text) }
        #expect(error?.code == .invalidConfiguration)
        // What to write is in it, and nothing that spoils a log.
        let message = try #require(error?.message)
        #expect(message.contains("0 3 * * mon-fri") && message.utf8.count < 1500)
        #expect(message.escapedForDisplay == message)
    }

    @Test(arguments: ["", "Nowhere/Land", "europe berlin", "../../etc/localtime", "\u{0}"])
    func whatIsNoTimeZoneIsRefused(_ zone: String) {
        let error = #expect(throws: LockError.self) { try Schedule.cron("0 3 * * *", in: zone) }
        #expect(error?.code == .invalidConfiguration)
    }

    @Test func whateverIsReadIsReadAgainAndHasTicks() async {
        let fault = await Fuzzing.firstFault(
            in: "cron expressions",
            examples: [
                "0 3 * * *", "*/20 1-5,7 1,15 jan-mar/2 mon-fri", "@hourly", "5,50-52 23 29 2 *", "0 0 31 12 0-7/2",
            ],
            words: ["* ", "*/", "-", ",", "/", "sun", "feb", "@daily", "30 ", "59", " 7"]
        ) { bytes in
            do throws(LockError) {
                let text = String(decoding: bytes, as: UTF8.self)
                let expression = try CronExpression(text)
                guard try CronExpression(expression.text) == expression else { return .wrong("another expression") }
                let now: Int64 = 1_796_040_000_000
                let schedule = try Schedule.cron(text, in: "Europe/Berlin")
                guard let next = schedule.next(after: now), next > now else { return .wrong("no tick") }
                return schedule.latest(upTo: next, after: now) == next ? .read : .wrong("no way back")
            } catch {
                return error.code == .invalidConfiguration ? .refused : .wrong("\(error)")
            }
        }
        #expect(fault == nil)
    }

    @Test func daysAreThoseOfTheCalendar() throws {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        for day in [-800_000, -719_469, -719_468, -1, 0, 1, 11_016, 11_017, 47_540, 10_000_000] + Array(-400...40_000) {
            let date = Date(timeIntervalSince1970: Double(day) * 86_400)
            let parts = calendar.dateComponents([.month, .day, .weekday], from: date)
            // Before October 1582 that calendar is the Julian one.
            guard day > -141_427 else { continue }
            let civil = CivilDate(Int64(day))
            #expect(
                civil.month == parts.month && civil.day == parts.day && civil.weekday + 1 == parts.weekday, "\(day)")
        }
    }

    private func milliseconds(_ text: String) throws -> Int64 {
        Int64(try Date(text, strategy: .iso8601).timeIntervalSince1970) * 1000
    }
}
