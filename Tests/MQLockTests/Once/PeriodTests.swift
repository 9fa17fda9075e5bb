import Foundation
import MQLockTesting
import Testing

@testable import MQLock

@Suite(.inBackground, .timeLimit(.minutes(20))) struct PeriodTests {
    // MARK: Text

    @Test(arguments: [
        ("24h", "24h"), ("90s", "90s"), ("90m", "90m"), ("60m", "1h"), ("1.5h", "90m"), ("250ms", "250ms"),
        ("0.5s", "500ms"),
        ("hour", "hour"), ("day", "day"), ("week", "week"), ("month", "month"), ("day@UTC", "day"),
        ("day@Europe/Berlin", "day@Europe/Berlin"), ("hour@Asia/Kolkata", "hour@Asia/Kolkata"),
        ("2026-11-30", "2026-11-30"), ("2026-W49", "2026-W49"), ("v1.2.3", "v1.2.3"), ("1.2.3", "1.2.3"),
        ("f1e30a3", "f1e30a3"),
        ("release 7", "release 7"), ("Zürich", "Zürich"), ("deploy@host", "deploy@host"), ("pay-day", "pay-day"),
        ("p", "p"), ("production", "production"), ("key:42", "key:42"), ("key:day", "key:day"), ("key:1d", "key:1d"),
        ("key:deploy", "deploy"), ("key:key:x", "key:key:x"), ("key: 7 ", "key: 7 "),
    ])
    func whatIsReadIsWrittenInOneForm(_ text: String, _ form: String) throws {
        let period = try Period(text)
        #expect(period.description == form)
        #expect(try Period(form) == period)
    }

    /// Taken for a key, each of these would mean "once and never again" to somebody who means a time.
    @Test(arguments: [
        "", " ", " day", "day ", "24h\n", "24", "0", "1.5", "-1h", "+24h", "0h", "0.0001ms", "1d", "7 days", "1w",
        "2weeks", "24H", "24 h",
        "1hour", "30min", "1y", "1,5h", ".5h", "24.h", "P1D", "PT24H", "p7d", "pt1h30m", "days", "Day", "DAY", "hours",
        "daily", "hourly",
        "Weekly", "nightly", "year", "daily@Europe/Berlin", "day@", "day@Nowhere/Land", "day@berlin time",
        "day@Europe/Berlin@x",
        "day@../../etc/localtime", "hour@\u{0}", "1000h", "9223372036854775807h", "99999999999999999999s", "---", "@",
        "é\u{301} ", "key:",
        "key:-", "key:\(String(repeating: "k", count: 201))", String(repeating: "k", count: 201),
    ])
    func whatMayBeMeantOtherwiseIsRefused(_ text: String) throws {
        let error = #expect(throws: LockError.self) { try Period(text) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.message.unicodeScalars.contains(where: \.needsEscaping) == false)
    }

    /// Whatever a period is, its text says it whole.
    @Test func everyPeriodIsReadFromItsText() throws {
        var random = SeededGenerator(7)
        let alphabet = Array("0123456789 dayhourmspwk.,+-@:/%éßK\u{301}".unicodeScalars)
        var periods: [Period] = [.hour, .day, .week, .month]
        for zone in ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"] {
            periods += [try .hour(in: zone), try .day(in: zone), try .week(in: zone), try .month(in: zone)]
        }
        for _ in 0..<1000 {
            var key = String.UnicodeScalarView()
            for _ in 0..<Int.random(in: 1...8, using: &random) { key.append(alphabet.randomElement(using: &random)!) }
            if let period = try? Period.key(String(key)) { periods.append(period) }
            periods.append(try .every(.milliseconds(Int64.random(in: 1...40 * 86_400_000, using: &random))))
            periods.append(try .every(.seconds(Int64.random(in: 1...1000, using: &random) * 60)))
        }
        for period in periods { #expect(try Period(period.description) == period, "\(period)") }
    }

    @Test func keysAreComparedByteByByte() throws {
        #expect(try Period.key("\u{e9}") != Period.key("e\u{301}"))
    }

    @Test(arguments: Duration.extremes) func aDurationIsATimeOrIsRefused(_ duration: Duration) throws {
        let makesSense = duration >= .milliseconds(1) && duration <= Period.longest
        #expect(((try? Period.every(duration)) != nil) == makesSense)
    }

    @Test func whateverIsReadIsReadAgain() async {
        let fault = await Fuzzing.firstFault(
            in: "periods", examples: ["24h", "day@Europe/Berlin", "2026-11-30", "key:42", "1.5h"],
            words: ["key:", "day", "hour@", "UTC", "ms", " "]
        ) { bytes in
            let text = String(decoding: bytes, as: UTF8.self)
            do throws(LockError) {
                let period = try Period(text)
                return (try? Period(period.description)) == period ? .read : .wrong("another period")
            } catch {
                return error.code == .invalidConfiguration ? .refused : .wrong("\(error)")
            }
        }
        #expect(fault == nil)
    }

    // MARK: The calendar

    /// Computed by another program with another data base of time zones. Changes of the clocks are among them: at midnight, at
    /// night, and back to an hour that had been there.
    @Test(arguments: [
        ("day@UTC", "2026-11-30T23:59:59Z", "2026-11-30T00:00:00Z"),
        ("day@Europe/Berlin", "2026-11-30T22:59:59Z", "2026-11-29T23:00:00Z"),
        ("day@Europe/Berlin", "2026-11-30T23:00:00Z", "2026-11-30T23:00:00Z"),
        ("day@Europe/Berlin", "2026-10-25T22:59:59Z", "2026-10-24T22:00:00Z"),
        ("day@Europe/Berlin", "2026-03-29T21:59:59Z", "2026-03-28T23:00:00Z"),
        ("day@Asia/Kolkata", "2026-06-01T18:29:59Z", "2026-05-31T18:30:00Z"),
        ("day@Asia/Kolkata", "2026-06-01T18:30:00Z", "2026-06-01T18:30:00Z"),
        ("hour@UTC", "2026-11-30T03:59:59Z", "2026-11-30T03:00:00Z"),
        ("hour@Asia/Kolkata", "2026-06-01T03:45:00Z", "2026-06-01T03:30:00Z"),
        ("hour@Asia/Kathmandu", "2026-06-01T03:16:00Z", "2026-06-01T03:15:00Z"),
        ("hour@Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z"),
        ("hour@Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z"),
        ("hour@America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T05:00:00Z"),
        ("day@America/Havana", "2026-11-01T04:30:00Z", "2026-11-01T04:00:00Z"),
        ("day@America/Havana", "2026-11-01T05:30:00Z", "2026-11-01T04:00:00Z"),
        ("day@Asia/Beirut", "2026-03-29T03:00:00Z", "2026-03-28T22:00:00Z"),
        ("day@Asia/Beirut", "2026-10-25T05:00:00Z", "2026-10-24T22:00:00Z"),
        ("week@UTC", "2026-11-29T23:59:59Z", "2026-11-23T00:00:00Z"),
        ("week@UTC", "2026-11-30T00:00:00Z", "2026-11-30T00:00:00Z"),
        ("week@Europe/Berlin", "2027-01-03T22:59:59Z", "2026-12-27T23:00:00Z"),
        ("week@America/New_York", "2026-11-02T12:00:00Z", "2026-11-02T05:00:00Z"),
        ("month@UTC", "2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z"),
        ("month@Pacific/Auckland", "2026-02-28T11:00:00Z", "2026-02-28T11:00:00Z"),
        ("month@Europe/Berlin", "2026-10-31T22:30:00Z", "2026-09-30T22:00:00Z"),
        ("day@Pacific/Apia", "2026-05-05T10:59:59Z", "2026-05-04T11:00:00Z"),
        ("day@Pacific/Kiritimati", "2026-05-05T10:00:00Z", "2026-05-05T10:00:00Z"),
    ])
    func aPartOfTheCalendarBeginsThen(_ period: String, _ moment: String, _ start: String) throws {
        let found = try #require(try Occurrence(Period(period), at: milliseconds(moment)).start)
        #expect(WallClock.text(found) == start)
    }

    /// Two machines that look at the same moment agree, and time goes on: else a job would be done twice, or never.
    @Test(arguments: [
        "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
        "America/Havana",
        "Asia/Beirut", "Pacific/Apia", "America/St_Johns", "Antarctica/Troll",
    ])
    func startsOnlyGrow(_ zone: String) throws {
        var random = SeededGenerator(11)
        for unit in CalendarUnit.allCases {
            var (moment, last) = (try milliseconds("2026-01-01T00:00:00Z"), Int64.min)
            let end = try milliseconds(unit == .hour ? "2026-12-01T00:00:00Z" : "2028-01-01T00:00:00Z")
            let step: Int64 = unit == .hour ? 2 * 3_600_000 : 6 * 3_600_000
            while moment < end {
                let start = try unit.start(at: moment, zone: zone)
                if start > moment || start < last {
                    Issue.record("\(unit) of \(WallClock.text(moment)) in \(zone): \(WallClock.text(start))")
                }
                last = start
                moment += Int64.random(in: 1...step, using: &random)
            }
        }
    }

    private func milliseconds(_ text: String) throws -> Int64 {
        Int64(try Date(text, strategy: .iso8601).timeIntervalSince1970) * 1000
    }
}
