public import MQLock

/// Something that happened to the ownership of a shard.
public struct ShardEvent: Sendable, Equatable {
    /// What happened.
    public let kind: Kind
    /// The shard; `nil` for what concerns all of them.
    public let shard: Int?
    /// The fencing token of the ownership that begins, goes on or has ended; `nil` on a warning.
    public let fencingToken: FencingToken?
    /// Why, on everything but `owned` and `regained`.
    public let reason: LossReason?
    /// What kind of error a warning is about, if it is about one; in words it is the reason's detail.
    public let errorCode: LockError.Code?

    init(
        _ kind: Kind, shard: Int? = nil, token: FencingToken? = nil, reason: LossReason? = nil,
        errorCode: LockError.Code? = nil
    ) {
        (self.kind, self.shard, fencingToken, self.reason) = (kind, shard, token, reason)
        self.errorCode = errorCode
    }

    /// What can happen; new kinds may come with minor versions.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String { case owned, draining, interrupted, regained, released, lost, warning }
        private let value: Value

        /// The shard is ours: its claim is written and confirmed.
        public static let owned = Self(value: .owned)
        /// A rebalance asks for the shard: its work is told to end, and is still protected while it does.
        public static let draining = Self(value: .draining)
        /// Given back in a rebalance, in good order. `regained` or `released` follows.
        public static let interrupted = Self(value: .interrupted)
        /// A rebalance brought it straight back, with a new claim.
        public static let regained = Self(value: .regained)
        /// Given back for good, in good order: another member has it, or may have it.
        public static let released = Self(value: .released)
        /// Lost without a hand-over: another member may have it already.
        public static let lost = Self(value: .lost)
        /// Somebody has to look at the reason's detail. With an ``ShardEvent/errorCode`` some or all shards cannot be owned
        /// before. Without one ownership goes on: others on the network can read the password, or pose as the brokers; or,
        /// with a shard, its records' keys belong to other shards.
        public static let warning = Self(value: .warning)

        /// The kind's name.
        public var description: String { value.rawValue }
    }
}
