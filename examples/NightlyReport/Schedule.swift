import Foundation

/// When the job is due, and which night that is. In UTC, so no night is missing or double when clocks change.
struct Schedule {
    let hour: Int
    let minute: Int

    /// Reads `02:30`; nil for anything else.
    init?(_ text: String) {
        let parts = text.split(separator: ":").map { Int($0) }
        guard parts.count == 2, let hour = parts[0], let minute = parts[1], (0...23).contains(hour),
            (0...59).contains(minute)
        else { return nil }
        self.hour = hour
        self.minute = minute
    }

    /// The first time after `date` at which the job is due.
    func next(after date: Date) -> Date {
        let midnight = Self.calendar.startOfDay(for: date)
        let today = midnight.addingTimeInterval(Double(hour * 3600 + minute * 60))
        return today > date ? today : today.addingTimeInterval(86_400)
    }

    /// The date, such as `2026-03-02`.
    static func night(of date: Date) -> String {
        date.formatted(Date.ISO8601FormatStyle(timeZone: TimeZone.gmt).year().month().day())
    }

    private static var calendar: Calendar {
        var calendar = Calendar(identifier: .gregorian)
        calendar.timeZone = .gmt
        return calendar
    }
}
