import MQLock

/// How fencing tokens are numbered (protocol `mqlock.v1`).
///
/// A seed is the number of milliseconds since 2026 shifted left by 21 bits; every hand-over adds 32, and the low five
/// bits are for grants within a process. That leaves room for 65,536 hand-overs per millisecond, so no lock can outrun
/// the clock. A lock that is seeded again, for whatever reason, starts above all that was ever granted, up to the skew
/// between the clocks of two hosts.
enum TokenNumber {
    /// What one hand-over adds.
    static let step: UInt64 = 32

    private static let numbering = FencingNumbering(
        step: step, carrier: "the lock's token", remedy: "delete the lock's queues on the broker")

    /// The number to publish at this time, in milliseconds since 1970: at least one hand-over above the largest seen.
    static func seed(above largest: UInt64?, at now: Int64 = WallClock.now) throws(LockError) -> UInt64 {
        try numbering.next(above: largest, at: now)
    }

    /// The fencing token of a delivery: the number in the message and the broker's own count of returns.
    static func fence(
        _ number: UInt64, returns: Int64, at now: Int64 = WallClock.now
    ) throws(LockError) -> FencingToken {
        guard returns >= 0 else {
            throw LockError(
                .internalError, "the broker reported \(returns) returns of a message; it cannot be trusted")
        }
        return try numbering.token(number, steps: UInt64(returns), at: now)
    }
}
