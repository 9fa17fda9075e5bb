/// Why a lock was lost.
///
/// Decide by ``kind``; ``detail`` is for people.
public struct LossReason: Hashable, Sendable {
    /// What happened.
    public let kind: Kind
    /// The broker's own words or a number that helps, escaped; empty when there is nothing to add.
    public let detail: String

    /// Makes a reason.
    public init(_ kind: Kind, _ detail: String = "") {
        self.kind = kind
        self.detail = detail.escapedForDisplay
    }

    /// What happened, as a value to compare; new kinds may come with minor versions.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        private enum Value: String, CaseIterable {
            case connectionClosed, proofOverdue, channelClosed, consumerCancelled, holdLimit, queueDeleted
            case partitionRevoked, partitionLost, askedToYield, forced, shutdown
        }
        private let value: Value

        /// The connection to the broker ended.
        public static let connectionClosed = Self(value: .connectionClosed)
        /// The broker did not prove in time that the session still lives; it may have handed the lock to someone else.
        public static let proofOverdue = Self(value: .proofOverdue)
        /// The broker closed the channel that carried the lock; the detail has its code and text.
        public static let channelClosed = Self(value: .channelClosed)
        /// The broker cancelled the consumer that carried the lock, and does not say why; the detail lists the possible
        /// causes.
        public static let consumerCancelled = Self(value: .consumerCancelled)
        /// The hold reached the longest time this mutex can be held.
        public static let holdLimit = Self(value: .holdLimit)
        /// The queue behind the lock was deleted on the broker.
        public static let queueDeleted = Self(value: .queueDeleted)
        /// The group took back the partition in a rebalance.
        public static let partitionRevoked = Self(value: .partitionRevoked)
        /// The partition was lost without a hand-over.
        public static let partitionLost = Self(value: .partitionLost)
        /// An authorized user asked the holder to yield.
        public static let askedToYield = Self(value: .askedToYield)
        /// An operator broke the lock.
        public static let forced = Self(value: .forced)
        /// The provider was shut down while the lock was held.
        public static let shutdown = Self(value: .shutdown)

        static let all = Value.allCases.map(Self.init)

        /// The kind's name.
        public var description: String { value.rawValue }
    }

    private var words: String {
        switch kind {
        case .connectionClosed: "connection closed"
        case .proofOverdue: "proof of life overdue"
        case .channelClosed: "channel closed by the broker"
        case .consumerCancelled: "consumer cancelled by the broker"
        case .holdLimit: "hold limit reached"
        case .queueDeleted: "queue deleted"
        case .partitionRevoked: "partition revoked"
        case .partitionLost: "partition lost"
        case .askedToYield: "asked to yield"
        case .forced: "broken by an operator"
        case .shutdown: "provider shut down"
        default: kind.description
        }
    }
}

extension LossReason: CustomStringConvertible {
    /// The reason in words.
    public var description: String { detail.isEmpty ? words : "\(words) (\(detail))" }
}
