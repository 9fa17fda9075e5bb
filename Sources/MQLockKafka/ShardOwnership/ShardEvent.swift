public import MQLock

/// Something that happened to the ownership of a shard.
public struct ShardEvent: Sendable, Equatable {
    /// What happened.
    public let kind: Kind
    /// The shard; `nil` for events of all shards.
    public let shard: Int?
    /// The fencing token of the ownership that begins, continues or has ended; `nil` on a warning.
    public let fencingToken: FencingToken?
    /// The reason, on everything except `owned` and `regained`.
    public let reason: LossReason?
    /// The error code of a warning, if it is about an error. The reason's detail says it in words.
    public let errorCode: LockError.Code?

    init(
        _ kind: Kind, shard: Int? = nil, token: FencingToken? = nil, reason: LossReason? = nil,
        errorCode: LockError.Code? = nil
    ) {
        (self.kind, self.shard, fencingToken, self.reason) = (kind, shard, token, reason)
        self.errorCode = errorCode
    }

    /// The kinds of events; minor versions may add more.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String { case owned, draining, interrupted, regained, released, lost, warning }
        private let value: Value

        /// The shard is ours: its claim is written and confirmed.
        public static let owned = Self(value: .owned)
        /// A rebalance asks for the shard. Its work is asked to end, and is still protected until then.
        public static let draining = Self(value: .draining)
        /// Released in a rebalance, cleanly. `regained` or `released` follows.
        public static let interrupted = Self(value: .interrupted)
        /// A rebalance brought it straight back, with a new claim.
        public static let regained = Self(value: .regained)
        /// Released for good, cleanly: another member has it, or may have it.
        public static let released = Self(value: .released)
        /// Lost without a hand-over: another member may have it already.
        public static let lost = Self(value: .lost)
        /// The reason's detail needs attention. With an ``ShardEvent/errorCode`` some or all shards cannot be owned
        /// until then. Without one ownership continues: others on the network can read the password, or pose as the
        /// brokers. With a shard, the keys of its records belong to other shards.
        public static let warning = Self(value: .warning)

        /// The kind's name.
        public var description: String { value.rawValue }
    }
}
