import Foundation
import Testing

@testable import NightlyReport

@Suite("the night's schedule") struct ScheduleTests {
    @Test(
        "today if it is still to come, else tomorrow",
        arguments: [
            ("02:30", "2026-03-02T02:29:59Z", "2026-03-02T02:30:00Z"),
            ("02:30", "2026-03-02T02:30:00Z", "2026-03-03T02:30:00Z"),
            ("00:00", "2026-12-31T23:59:59Z", "2027-01-01T00:00:00Z"),
        ])
    func next(time: String, now: String, due: String) throws {
        let schedule = try #require(Schedule(time))
        let next = schedule.next(after: try Date(now, strategy: .iso8601))
        #expect(next == (try Date(due, strategy: .iso8601)))
        #expect(due.hasPrefix(Schedule.night(of: next)))
    }

    @Test("what is no time", arguments: ["", "2", "24:00", "02:60", "-1:00", "02:30:00", "ab:cd"])
    func refused(text: String) { #expect(Schedule(text) == nil) }
}
