/// What the five fields of a crontab line say, without a time zone.
struct CronExpression: Hashable, Sendable {
    /// As it was written, with single blanks.
    let text: String
    private let fields: [CronNumbers]

    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration``, and what to write.
    init(_ text: some StringProtocol) throws(LockError) {
        let words = text.split { $0 == " " || $0 == "\t" }.map { Substring($0) }
        self.text = words.joined(separator: " ")
        let reader = CronReader(text: String(text))
        fields = try reader.fields(words)
        guard (0..<CivilDate.cycle).contains(where: { isDay($0) }) else {
            throw reader.refusal("names a day that no year has")
        }
    }

    /// The minutes of one of its days, counted from midnight, in order.
    var minutes: [Int] {
        let minutes = (0..<60).filter(self[.minute].contains)
        return (0..<24).filter(self[.hour].contains).flatMap { hour in minutes.map { hour * 60 + $0 } }
    }

    /// Whether a day, counted from 1970-01-01, is one of its days.
    func isDay(_ day: Int64) -> Bool {
        let date = CivilDate(day)
        guard self[.month].contains(date.month) else { return false }
        let (days, weekdays) = (self[.dayOfMonth], self[.dayOfWeek])
        let (isDay, isWeekday) = (days.contains(date.day), weekdays.contains(date.weekday))
        // cron's rule: when both are restricted, either one is enough.
        return days.isStarred || weekdays.isStarred ? isDay && isWeekday : isDay || isWeekday
    }

    /// Whether it follows the clock when that is changed: jobs of every so many minutes or hours. Other jobs have fixed
    /// times, each of which comes once on each of their days.
    var followsTheClock: Bool { self[.minute].isStarred || self[.hour].isStarred }

    private subscript(_ field: CronField) -> CronNumbers { fields[field.rawValue] }
}

/// A day of the Gregorian calendar.
struct CivilDate: Equatable {
    let month: Int
    let day: Int
    /// From 0, Sunday, to 6.
    let weekday: Int

    /// After this many days, months and weekdays repeat: 400 years.
    static let cycle: Int64 = 146_097

    /// - Parameter day: counted from 1970-01-01; may be negative.
    init(_ day: Int64) {
        // Counted from a March 1st of a year that begins a cycle, so the day that comes every fourth year is the last
        // one.
        let ofCycle = (day + 719_468).modulo(Self.cycle)
        let year = (ofCycle - ofCycle / 1460 + ofCycle / 36_524 - ofCycle / 146_096) / 365
        let ofYear = ofCycle - (365 * year + year / 4 - year / 100)
        let fromMarch = (5 * ofYear + 2) / 153
        self.day = Int(ofYear - (153 * fromMarch + 2) / 5 + 1)
        month = Int(fromMarch < 10 ? fromMarch + 3 : fromMarch - 9)
        // 1970-01-01 was a Thursday.
        weekday = Int((day + 4).modulo(7))
    }
}

extension Int64 {
    /// Of a division that rounds down, so never negative.
    func modulo(_ divisor: Int64) -> Int64 {
        let rest = self % divisor
        return rest < 0 ? rest + divisor : rest
    }

    func dividedDown(by divisor: Int64) -> Int64 { (self - modulo(divisor)) / divisor }
}
