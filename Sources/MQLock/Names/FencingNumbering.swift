/// How an adapter numbers fencing tokens: by the clock, or one step above everything seen (protocol `mqlock.v1`).
///
/// The number of a moment is the milliseconds since 2026, shifted left by 21 bits. So a lock that is seeded again, for
/// whatever reason, is above all that was ever granted, up to the skew between the clocks of two hosts.
package struct FencingNumbering: Sendable {
    /// What one hand-over, or one claim, adds.
    package let step: UInt64
    /// What carries the number, for messages: `the lock's token`.
    private let carrier: String
    /// What helps against a forged one, for messages: `delete the lock's queues on the broker`.
    private let remedy: String

    package init(step: UInt64, carrier: String, remedy: String) {
        (self.step, self.carrier, self.remedy) = (step, carrier, remedy)
    }

    /// 2026-01-01T00:00:00Z in milliseconds since 1970.
    package static let epoch: Int64 = 1_767_225_600_000
    private static let shift: UInt64 = 21
    /// 42 bits of milliseconds, 139 years: what is left of a number below 2^63.
    private static let end: Int64 = 1 << 42
    /// How far ahead of the clock a number from outside may be, in milliseconds: a day.
    package static let tolerance: Int64 = 24 * 60 * 60 * 1000

    /// The next number: that of the clock, and at least a step above the largest that was seen.
    /// - Parameter now: milliseconds since 1970.
    /// - Throws: `internalError` when the clock is before 2026; `tokenRegression` when there is no number above.
    package func next(above largest: UInt64?, at now: Int64) throws(LockError) -> UInt64 {
        guard let clock = Self.number(at: now) else { throw wrongClock(now) }
        guard let largest else { return clock }
        let (next, overflow) = largest.addingReportingOverflow(step)
        guard !overflow, next <= FencingToken.maximum else { throw outOfBounds(largest, now) }
        return max(clock, next)
    }

    /// Checks a number from outside, with this many steps added to it: at most a day ahead of the clock.
    /// - Parameters:
    ///   - now: milliseconds since 1970.
    ///   - lead: how far ahead of it a number may be.
    /// - Throws: `internalError` when the clock is before 2026; `tokenRegression` when the number is out of bounds.
    package func token(
        _ number: UInt64, steps: UInt64 = 0, at now: Int64, lead: Duration = .milliseconds(tolerance)
    ) throws(LockError) -> FencingToken {
        let (ahead, isLate) = now.addingReportingOverflow(lead.nanoseconds / 1_000_000)
        guard !isLate, let limit = Self.number(at: ahead) else { throw wrongClock(now) }
        let (added, overflow) = steps.multipliedReportingOverflow(by: step)
        let (sum, carried) = number.addingReportingOverflow(added)
        guard !overflow, !carried, sum <= limit, let token = FencingToken(rawValue: sum) else {
            throw outOfBounds(number, now, lead)
        }
        return token
    }

    /// The largest number of a moment; of a moment before 2026 what needs no clock, of one after 2165 the largest of all.
    /// - Parameter now: milliseconds since 1970.
    package static func last(at now: Int64) -> UInt64 {
        let (milliseconds, isEarly) = now.subtractingReportingOverflow(epoch)
        let moment = isEarly ? 0 : UInt64(min(max(0, milliseconds), end - 1))
        return moment << shift | ((1 << shift) - 1)
    }

    /// The moment that a number is made from, in milliseconds since 1970.
    package static func milliseconds(of number: UInt64) -> Int64 { Int64(number >> shift) + epoch }

    /// Whether a clock that is at most this far ahead of ours can have numbered a token.
    /// - Parameters:
    ///   - lead: nil for tokens that are not made from a clock.
    ///   - now: milliseconds since 1970.
    package static func isPlausible(_ token: FencingToken, lead: Duration?, at now: Int64) -> Bool {
        guard let lead else { return true }
        let (moment, overflow) = now.addingReportingOverflow(lead.nanoseconds / 1_000_000)
        return overflow || token.rawValue <= last(at: moment)
    }

    private static func number(at now: Int64) -> UInt64? {
        let (milliseconds, overflow) = now.subtractingReportingOverflow(epoch)
        guard !overflow, milliseconds >= 0, milliseconds < end else { return nil }
        return UInt64(milliseconds) << shift
    }

    /// When a clock would make this number, in milliseconds since 1970.
    private static func moment(of number: UInt64) -> Int64 { epoch + Int64(number >> shift) }

    private func wrongClock(_ now: Int64) -> LockError {
        LockError(
            .internalError,
            "this machine's clock says \(WallClock.text(now)); fencing tokens are numbered from 2026 on: set the clock")
    }

    private func outOfBounds(
        _ number: UInt64, _ now: Int64, _ lead: Duration = .milliseconds(tolerance)
    ) -> LockError {
        let far = lead == .milliseconds(Self.tolerance) ? "a day" : lead.readable
        return LockError(
            .tokenRegression,
            """
            \(carrier) has the number \(number), of \(WallClock.text(Self.moment(of: number))), more than \
            \(far) ahead of this machine's clock (\(WallClock.text(now))): either the clock is wrong, or the number was forged; if the clock is right, \
            \(remedy)
            """)
    }
}
