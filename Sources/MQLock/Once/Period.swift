/// The period in which a job is done once: a key, a length of time, or a part of the calendar.
///
/// ```swift
/// try await locks.once("nightly-report", for: .day(in: "Europe/Berlin")) { lease in … }
/// try await locks.once("migrate", for: .key(release)) { lease in … }
/// try await locks.once("refresh", for: .every(.seconds(600))) { lease in … }
/// ```
///
/// For a job that a timer starts each day, use ``day`` and not `.every` of 24 hours: a job that starts a moment earlier
/// than yesterday would find that the 24 hours are not over.
public struct Period: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// A key has the limits of a lock name: 1 to 200 bytes, compared as such.
        case key(LockName)
        case every(milliseconds: Int64)
        case calendar(CalendarUnit, zone: String?)
        /// Of a schedule, in milliseconds since 1970.
        case tick(Int64)
    }

    let kind: Kind

    init(_ kind: Kind) { self.kind = kind }

    /// The longest ``every(_:)``. A mark that no program asks for is kept for 49 days.
    public static let longest = Duration.seconds(longestInDays * 24 * 3600)
    private static let longestInDays = 40

    /// Once for this key: a date, a release, an order number. The last eight keys of a name are remembered.
    /// - Parameter text: 1 to 200 bytes of UTF-8 with at least one letter or digit, compared byte by byte.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` for any other text.
    public static func key(_ text: some StringProtocol) throws(LockError) -> Period {
        guard let key = try? LockName(text), text.contains(where: { $0.isLetter || $0.isNumber }) else {
            throw LockError(
                .invalidConfiguration,
                """
                the key of a period has 1 to \(LockName.maximumLength) bytes of UTF-8 and at least one letter or digit, \
                unlike \(PeriodText.quoted(text))
                """)
        }
        return Self(.key(key))
    }

    /// Once in this length of time, from one start of the job to the next.
    ///
    /// It is measured by the clocks of the machines: when they differ, the time may be shorter or longer by the
    /// difference.
    /// - Parameter duration: a millisecond to ``longest``; counted in whole milliseconds.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` for any other duration.
    public static func every(_ duration: Duration) throws(LockError) -> Period {
        guard (Duration.milliseconds(1)...longest).contains(duration) else {
            throw LockError(
                .invalidConfiguration,
                """
                a period is a millisecond to \(longest / .seconds(24 * 3600)) days, and not \(duration.readable); for a \
                longer one use a key, such as the year
                """)
        }
        return Self(.every(milliseconds: duration.nanoseconds / 1_000_000))
    }

    /// Once in each hour of UTC.
    public static let hour = Self(.calendar(.hour, zone: nil))
    /// Once on each day of UTC.
    public static let day = Self(.calendar(.day, zone: nil))
    /// Once in each week of UTC, which begins on Monday.
    public static let week = Self(.calendar(.week, zone: nil))
    /// Once in each month of UTC.
    public static let month = Self(.calendar(.month, zone: nil))

    /// Once in each hour of a time zone.
    /// - Parameter zone: its name in the IANA time zone database: `Asia/Kolkata`.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` for a time zone that this program
    ///   does not know. Zones other than UTC need Foundation, or the product MQLockTimeZones.
    public static func hour(in zone: String) throws(LockError) -> Period { try calendar(.hour, zone) }

    /// Once on each day of a time zone.
    /// - Parameter zone: its name in the IANA time zone database: `Europe/Berlin`.
    /// - Throws: as ``hour(in:)``.
    public static func day(in zone: String) throws(LockError) -> Period { try calendar(.day, zone) }

    /// Once in each week of a time zone, which begins on Monday.
    /// - Parameter zone: its name in the IANA time zone database: `Europe/Berlin`.
    /// - Throws: as ``hour(in:)``.
    public static func week(in zone: String) throws(LockError) -> Period { try calendar(.week, zone) }

    /// Once in each month of a time zone.
    /// - Parameter zone: its name in the IANA time zone database: `Europe/Berlin`.
    /// - Throws: as ``hour(in:)``.
    public static func month(in zone: String) throws(LockError) -> Period { try calendar(.month, zone) }

    static func calendar(_ unit: CalendarUnit, _ zone: String) throws(LockError) -> Period {
        guard zone != "UTC" else { return Self(.calendar(unit, zone: nil)) }
        _ = try NamedTimeZone(zone)
        return Self(.calendar(unit, zone: zone))
    }
}
