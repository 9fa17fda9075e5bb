/// When to do a job, again and again: at ticks that all programs agree on without communicating.
///
/// ```swift
/// try await locks.schedule("refresh", .every(.seconds(600))) { tick in … }
/// try await locks.schedule("report", .cron("0 3 * * *", in: "Europe/Berlin")) { tick in … }
/// ```
///
/// More in <doc:Schedules>.
public struct Schedule: Hashable, Sendable {
    private enum Kind: Hashable, Sendable {
        case every(milliseconds: Int64)
        case cron(CronCalendar)
    }

    private let kind: Kind

    /// At whole multiples of a duration since 1970-01-01T00:00:00Z: `.every(.seconds(600))` is at ten past, twenty
    /// past, and so on. For days and weeks of a time zone use ``cron(_:in:)``.
    /// - Parameter interval: a second to ``Period/longest``; counted in whole milliseconds. Choose it longer than the
    ///   clocks of the machines differ, and longer than the job takes.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` for any other interval.
    public static func every(_ interval: Duration) throws(LockError) -> Schedule {
        guard (Duration.seconds(1)...Period.longest).contains(interval) else {
            throw LockError(
                .invalidConfiguration,
                """
                a schedule has a tick every second to every \(Period.longest / .seconds(24 * 3600)) days, and not every \
                \(interval.readable); for rarer ones use a cron expression
                """)
        }
        return Self(kind: .every(milliseconds: interval.nanoseconds / 1_000_000))
    }

    /// At the times of a cron expression: five fields as in crontab(5), or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
    ///
    /// Lists, ranges, steps and the English names of months and days are accepted. When both the day of the month and
    /// the day of the week are restricted, either is enough. <doc:Schedules> says what happens to times that clocks
    /// skip or show twice.
    /// - Parameters:
    ///   - expression: minute, hour, day of the month, month, day of the week: `0 3 * * mon-fri`.
    ///   - zone: the time zone, by its name in the IANA time zone database: `Europe/Berlin`. Not the machine's, so all
    ///     programs agree.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration``, and what to write; also for days that no year
    ///   has, and for a time zone that this program does not know. Zones other than UTC need Foundation, or the
    ///   product MQLockTimeZones.
    public static func cron(_ expression: some StringProtocol, in zone: String = "UTC") throws(LockError) -> Schedule {
        Self(kind: .cron(CronCalendar(expression: try CronExpression(expression), zone: try NamedTimeZone(zone))))
    }

    /// The first tick after a moment; both in milliseconds since 1970. Nil when that is later than a mark can record.
    public func next(after moment: Int64) -> Int64? {
        let moment = Occurrence.bounded(moment)
        let next: Int64? =
            switch kind {
            case .every(let interval): moment - moment % interval + interval
            case .cron(let calendar): calendar.next(after: moment / 1000).map { $0 * 1000 }
            }
        return next.flatMap { $0 <= Occurrence.latest ? $0 : nil }
    }

    /// The last tick up to a moment and after another one.
    func latest(upTo moment: Int64, after floor: Int64) -> Int64? {
        let (moment, floor) = (min(moment, Occurrence.latest), max(-1, floor))
        guard floor < moment else { return nil }
        switch kind {
        case .every(let interval):
            let latest = moment - moment % interval
            return latest > floor ? latest : nil
        case .cron(let calendar):
            return calendar.latest(upTo: moment / 1000, after: floor.dividedDown(by: 1000)).map { $0 * 1000 }
        }
    }
}

extension Schedule: CustomStringConvertible {
    /// The schedule in words.
    public var description: String {
        switch kind {
        case .every(let interval): "every \(Period(.every(milliseconds: interval)))"
        case .cron(let calendar): "at \(calendar.expression.text) in \(calendar.zone.name)"
        }
    }
}

/// What happens to a tick that no program could start in time: the programs were down or asleep, busy with the tick
/// before, or their clocks were moved past it.
public enum MissedTicks: String, Hashable, Sendable, CaseIterable {
    /// It is skipped.
    case skip
    /// The newest one is done as soon as possible, unless the broker's marks say that it has been done; also when a
    /// program starts. Those before it are skipped, and so is one that is older than ``Period/longest``.
    case runOnce
}
