#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// A part of the calendar.
enum CalendarUnit: String, Hashable, Sendable, CaseIterable {
    case hour, day, week, month

    /// When the unit began that contains a moment; both in milliseconds since 1970.
    /// - Parameter zone: a time zone's name; nil is UTC.
    func start(at moment: Int64, zone: String?) throws(LockError) -> Int64 {
        let timeZone = if let zone { try NamedTimeZone(zone).zone } else { TimeZone.gmt }
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

extension Date {
    fileprivate init(milliseconds: Int64) { self.init(timeIntervalSince1970: Double(milliseconds) / 1000) }
}
