import Foundation
import MQLock

/// How fencing tokens are numbered (protocol `mqlock.v1`).
///
/// A seed is the number of milliseconds since 2026 shifted left by 21 bits; every hand-over adds 32, and the low five
/// bits are for grants within a process. That leaves room for 65,536 hand-overs a millisecond: no lock can outrun the
/// clock, so a lock that is seeded anew, for whatever reason, is above all that was ever granted, up to the skew
/// between the clocks of two hosts.
enum TokenNumber {
    /// What one hand-over adds.
    static let step: UInt64 = 32
    /// 2026-01-01T00:00:00Z in Unix seconds.
    private static let epoch: TimeInterval = 1_767_225_600
    private static let shift: UInt64 = 21
    /// How far ahead of the clock a number from outside may be.
    private static let tolerance: TimeInterval = 24 * 60 * 60

    /// The number to seed with at this time: at least one hand-over above the largest seen.
    static func seed(at now: Date, above largest: UInt64?) throws(LockError) -> UInt64 {
        guard let clock = number(at: now) else { throw wrongClock(now) }
        guard let largest else { return clock }
        let (next, overflow) = largest.addingReportingOverflow(step)
        guard !overflow, next <= FencingToken.maximum else { throw outOfBounds(largest, now) }
        return max(clock, next)
    }

    /// The number of the next hand-over: one step above the largest seen, and at most a day ahead of the clock.
    static func next(above largest: UInt64, at now: Date) throws(LockError) -> UInt64 {
        try fence(number: largest, count: 1, at: now).rawValue
    }

    /// The fencing token of a delivery: the number in the message and the broker's own count of hand-overs.
    static func fence(number: UInt64, count: Int64, at now: Date) throws(LockError) -> FencingToken {
        guard let limit = self.number(at: now.addingTimeInterval(tolerance)) else { throw wrongClock(now) }
        guard count >= 0 else {
            throw LockError(
                .internalError, "the broker reported \(count) hand-overs of a message; it cannot be trusted")
        }
        let (added, overflow) = UInt64(count).multipliedReportingOverflow(by: step)
        let (sum, carried) = number.addingReportingOverflow(added)
        guard !overflow, !carried, sum <= limit, let token = FencingToken(rawValue: sum) else {
            throw outOfBounds(number, now)
        }
        return token
    }

    private static func number(at now: Date) -> UInt64? {
        let milliseconds = ((now.timeIntervalSince1970 - epoch) * 1000).rounded(.down)
        // 42 bits of milliseconds: 139 years.
        guard milliseconds >= 0, milliseconds < Double(UInt64(1) << 42) else { return nil }
        return UInt64(milliseconds) << shift
    }

    private static func wrongClock(_ now: Date) -> LockError {
        LockError(
            .internalError,
            "this machine's clock says \(now); fencing tokens are numbered from 2026 on: set the clock")
    }

    static func outOfBounds(_ number: UInt64, _ now: Date) -> LockError {
        LockError(
            .tokenRegression,
            """
            the lock's token has the number \(number), more than a day ahead of this machine's clock (\(now)): either \
            the clock is wrong, or the message was forged; if the clock is right, delete the lock's queues on the broker
            """)
    }
}
