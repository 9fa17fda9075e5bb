/// The gate of a consumer: lets a message act if its ``FenceStamp`` is not older than one seen before for that lock.
///
/// It remembers where its ``FenceGate`` does: in memory for state that dies with this process, on the disk with a
/// ``FileFenceGate`` or ``FolderFenceGate``, which the processes of a machine share. Consumers on several machines need
/// a shared store, such as a database that compares by itself.
///
/// ```swift
/// switch try gate.withAdmission(message.headers, { stamp in try store.write(message) }) {
/// case .written: acknowledge(message)
/// case .stale(let stamp, _): acknowledge(message); log("late: \(stamp)")
/// case .unstamped, .malformed, .unexpected: reject(message)
/// }
/// ```
///
/// A stale message need not come from a holder that had lost its lock: a broker that delivers again, or another path
/// through it, delays current ones, too. For *state* that the newest message determines, dropping both is right. Where
/// each message is an *action* that must be done, let the source see the refusal and send again under a new token.
public struct StampedMessageGate: Sendable {
    private let gate: any FenceGate
    private let lead: Duration?
    private let isExpected: @Sendable (LockName) -> Bool
    /// Milliseconds since 1970.
    private let wallClock: @Sendable () -> Int64

    /// Puts a gate for messages in front of a gate for tokens.
    /// - Parameters:
    ///   - gate: what remembers the largest token of each lock.
    ///   - lead: how far a token may be ahead of this machine's clock, as the adapters of this package number them; a
    ///     token that is further ahead is malformed. Without that limit, one wrong message with a huge token would shut
    ///     out all holders for good. `nil` for tokens that are not made from a clock.
    ///   - isExpected: whether a lock's name belongs here. Every new name takes a place in the gate's memory, so say no
    ///     to names that are not yours when others may publish.
    public init(
        _ gate: any FenceGate, lead: Duration? = .seconds(24 * 60 * 60),
        isExpected: @escaping @Sendable (LockName) -> Bool = { _ in true }
    ) {
        self.init(gate, lead: lead, isExpected: isExpected, wallClock: { WallClock.now })
    }

    package init(
        _ gate: any FenceGate, lead: Duration?, isExpected: @escaping @Sendable (LockName) -> Bool = { _ in true },
        wallClock: @escaping @Sendable () -> Int64
    ) {
        self.gate = gate
        self.lead = lead
        self.isExpected = isExpected
        self.wallClock = wallClock
    }

    /// Reads the stamp of a message and, if that is admitted, runs `write` with the gate closed to all others.
    ///
    /// - Parameters:
    ///   - headers: as of ``FenceStamp/read(_:)-(Sequence<(String,[UInt8]?)>)``.
    ///   - write: what the message does; keep it short, others wait.
    /// - Throws: ``LockError`` when the gate cannot tell or cannot remember: then `write` has not run, and the message
    ///   should come again; else what `write` throws.
    public func withAdmission<Result>(
        _ headers: some Sequence<(String, [UInt8]?)>, _ write: (FenceStamp) throws -> Result
    ) throws -> StampVerdict<Result> {
        try withAdmission(FenceStamp.read(headers), write)
    }

    /// The same for headers that a client library gives as text.
    public func withAdmission<Result>(
        _ headers: [String: String], _ write: (FenceStamp) throws -> Result
    ) throws -> StampVerdict<Result> {
        try withAdmission(FenceStamp.read(headers), write)
    }

    /// The same for a stamp that was already read.
    public func withAdmission<Result>(
        _ reading: FenceStamp.Reading, _ write: (FenceStamp) throws -> Result
    ) throws -> StampVerdict<Result> {
        let stamp: FenceStamp
        switch reading {
        case .absent: return .unstamped
        case .malformed(let reason): return .malformed(reason)
        case .stamp(let read): stamp = read
        }
        guard isExpected(stamp.name) else { return .unexpected(stamp) }
        guard FencingNumbering.isPlausible(stamp.token, lead: lead, at: wallClock()) else {
            return .malformed(
                "\(stamp) is too far ahead of this machine's clock: the clock is wrong, or the token is made up")
        }
        // `write` may have a gate of its own whose refusal is not ours to interpret.
        var isInside = false
        do {
            let result = try gate.withAdmission(stamp.token, for: stamp.name) {
                isInside = true
                return try write(stamp)
            }
            return .written(stamp, result)
        } catch let error as LockError where error.code == .staleToken && !isInside {
            guard let refusal = error.refusal else { throw error }
            return .stale(stamp, refusal)
        }
    }
}

/// The result of a message at a ``StampedMessageGate``.
public enum StampVerdict<Result> {
    /// Admitted and written, with what `write` returned.
    case written(FenceStamp, Result)
    /// Older than what was admitted before; nothing was written.
    case stale(FenceStamp, FenceRefusal)
    /// No stamp; nothing was written.
    case unstamped
    /// Headers that no stamp has, and what is wrong with them, for display; nothing was written.
    case malformed(String)
    /// Of a lock that does not belong here; nothing was written or remembered.
    case unexpected(FenceStamp)
}

extension StampVerdict: Sendable where Result: Sendable {}
extension StampVerdict: Equatable where Result: Equatable {}
