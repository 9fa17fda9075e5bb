#if canImport(FoundationEssentials)
import FoundationEssentials
#else
import Foundation
#endif

/// The moments of a cron expression in a time zone, in seconds since 1970.
///
/// When clocks change it follows cron's rules. Moments that follow the clock (a star in the minutes or hours) happen
/// whenever the clock shows their times, so also in both of two hours with the same name. Moments with fixed times
/// happen once each: at the first of two, and if the clock skips the time, at the moment when the clock is moved past
/// it.
struct CronCalendar: Hashable, Sendable {
    let expression: CronExpression
    let zone: NamedTimeZone

    private static let day: Int64 = 24 * 3600
    /// No time zone is further from UTC.
    private static let farthest: Int64 = 16 * 3600
    /// No time zone has two changes within this time.
    private static let step: Int64 = 3 * 3600

    /// The first moment after this one; nil when that is beyond any time.
    func next(after moment: Int64) -> Int64? {
        let today = day(of: moment)
        var (found, last): (Int64?, Int64) = (nil, today + CivilDate.cycle)
        var day = today - 1
        while day <= last {
            if let moment = moments(on: day).first(where: { $0 > moment }) {
                found = min(found ?? moment, moment)
                // Around a change at midnight the days overlap by less than one.
                last = min(last, day + 1)
            }
            day += 1
        }
        return found
    }

    /// The last moment up to this one, and after `floor`; nil when there is none.
    func latest(upTo moment: Int64, after floor: Int64) -> Int64? {
        var (found, last): (Int64?, Int64) = (nil, day(of: floor) - 1)
        var day = day(of: moment) + 1
        while day >= last {
            if let moment = moments(on: day).last(where: { $0 <= moment && $0 > floor }) {
                found = max(found ?? moment, moment)
                last = max(last, day - 1)
            }
            day -= 1
        }
        return found
    }

    /// All moments of a day of the zone, counted from 1970-01-01, in order.
    func moments(on day: Int64) -> [Int64] {
        guard expression.isDay(day) else { return [] }
        let midnight = day * Self.day
        let stretches = stretches(from: midnight - Self.farthest, to: midnight + Self.day + Self.farthest)
        var moments: Set<Int64> = []
        for minute in expression.minutes {
            let shown = midnight + Int64(minute) * 60
            if expression.followsTheClock {
                for stretch in stretches where stretch.contains(shown) { moments.insert(shown - stretch.offset) }
            } else if let stretch = stretches.first(where: { shown < $0.end + $0.offset }) {
                moments.insert(max(stretch.start, shown - stretch.offset))
            }
        }
        return moments.sorted()
    }

    /// A span in which the zone is this many seconds ahead of UTC.
    private struct Stretch {
        var start: Int64
        var end: Int64
        let offset: Int64

        /// Whether its clocks show that time.
        func contains(_ shown: Int64) -> Bool { (start..<end).contains(shown - offset) }
    }

    private func stretches(from start: Int64, to end: Int64) -> [Stretch] {
        var stretches = [Stretch(start: start, end: start, offset: offset(at: start))]
        for moment in stride(from: start + Self.step, through: end + Self.step, by: Int(Self.step)) {
            let (before, after) = (stretches[stretches.count - 1].offset, offset(at: moment))
            if before != after {
                let change = change(from: before, between: moment - Self.step, and: moment)
                stretches[stretches.count - 1].end = change
                stretches.append(Stretch(start: change, end: moment, offset: after))
            }
            stretches[stretches.count - 1].end = moment
        }
        return stretches
    }

    /// The first second that has another offset.
    private func change(from offset: Int64, between before: Int64, and after: Int64) -> Int64 {
        var (before, after) = (before, after)
        while after - before > 1 {
            let middle = before + (after - before) / 2
            if self.offset(at: middle) == offset { before = middle } else { after = middle }
        }
        return after
    }

    private func day(of moment: Int64) -> Int64 { (moment + offset(at: moment)).dividedDown(by: Self.day) }

    private func offset(at moment: Int64) -> Int64 {
        Int64(zone.zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(moment))))
    }
}
