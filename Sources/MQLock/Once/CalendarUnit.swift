import Foundation

/// A part of the calendar.
enum CalendarUnit: String, Hashable, Sendable, CaseIterable {
    case hour, day, week, month

    /// When the unit began that contains a moment; both in milliseconds since 1970.
    /// - Parameter zone: a time zone's name; nil is UTC.
    func start(at moment: Int64, zone: String?) throws(LockError) -> Int64 {
        let timeZone: TimeZone = if let zone { try .named(zone) } else { .gmt }
        // Of ISO 8601: Gregorian, and weeks begin on Monday.
        var calendar = Calendar(identifier: .iso8601)
        calendar.timeZone = timeZone
        guard let interval = calendar.dateInterval(of: component, for: Date(milliseconds: moment)) else {
            throw LockError(
                .invalidConfiguration, "the time of this machine, \(WallClock.text(moment)), is in no \(rawValue)")
        }
        return Int64((interval.start.timeIntervalSince1970 * 1000).rounded())
    }

    private var component: Calendar.Component {
        switch self {
        case .hour: .hour
        case .day: .day
        case .week: .weekOfYear
        case .month: .month
        }
    }
}

extension TimeZone {
    /// - Parameter name: as in the IANA time zone database: `Europe/Berlin`.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` when this machine does not know it.
    static func named(_ name: String) throws(LockError) -> TimeZone {
        let isName = name.utf8.allSatisfy { byte in
            PercentCoding.uri.encodes(byte) ? byte == UInt8(ascii: "/") || byte == UInt8(ascii: "+") : true
        }
        guard isName, (1...64).contains(name.utf8.count), let zone = TimeZone(identifier: name) else {
            throw LockError(
                .invalidConfiguration,
                """
                there is no time zone \(PeriodText.quoted(name)) on this machine; use a name of the IANA's data base, such \
                as Europe/Berlin
                """)
        }
        return zone
    }
}

extension Date {
    fileprivate init(milliseconds: Int64) { self.init(timeIntervalSince1970: Double(milliseconds) / 1000) }
}
