/// What a ``HistoryChecker`` found; prints as a table.
public struct Verdict: Sendable {
    /// What cannot have happened with a correct lock service, by instant.
    public var violations: [Violation] = []
    /// What deserves a look and proves nothing.
    public var remarks: [String] = []
    /// Numbers.
    public var statistics = Statistics()
    /// The first event, in nanoseconds of ``HistoryClock``.
    public var startedAt: UInt64
    /// The last event, in nanoseconds of ``HistoryClock``.
    public var endedAt: UInt64

    /// Whether nothing was violated.
    public var isGood: Bool { violations.isEmpty }

    mutating func add(_ kind: Violation.Kind, _ name: String, _ at: UInt64, _ message: String) {
        violations.append(Violation(kind, name, at, message))
    }
}

extension Verdict {
    /// Something that must not happen.
    public struct Violation: Hashable, Sendable {
        /// Which rule was broken.
        public var kind: Kind
        /// The lock's name; may be empty for malformed events.
        public var name: String
        /// When, in nanoseconds of ``HistoryClock``.
        public var at: UInt64
        /// Who did what.
        public var message: String

        init(_ kind: Kind, _ name: String, _ at: UInt64, _ message: String) {
            self.kind = kind
            self.name = name
            self.at = at
            self.message = message
        }

        /// Which rule was broken, as a value to compare; new kinds may come with minor versions.
        public struct Kind: Hashable, Sendable, CustomStringConvertible {
            /// The kind's name.
            public let description: String

            /// Two leases of one name were valid at once.
            public static let overlap = Self(description: "overlap")
            /// Two grants of one name have the same token.
            public static let tokenRepeated = Self(description: "token repeated")
            /// A later grant has a smaller token.
            public static let tokenWentBack = Self(description: "token went back")
            /// A resource accepted a token smaller than one that it had accepted before.
            public static let staleWrite = Self(description: "stale write")
            /// A resource accepted a write by a holder whose lease had ended and whose successor was granted. Fencing
            /// cannot prevent that before the successor's own first write.
            public static let lateWrite = Self(description: "late write")
            /// A lock stayed free for too long although a contender waited for it.
            public static let leftFree = Self(description: "left free")
            /// The history contradicts itself: the recording is wrong, or worse.
            public static let malformed = Self(description: "malformed")
        }
    }

    /// A lock that went from one holder to a contender that waited for it.
    public struct HandOver: Hashable, Sendable {
        /// The lock's name.
        public var name: String
        /// Who had it: process and contender.
        public var from: String
        /// With which token.
        public var fromToken: UInt64
        /// How that ended.
        public var cause: Cause
        /// Who got it: process and contender.
        public var to: String
        /// With which token.
        public var toToken: UInt64
        /// The instant of the grant in nanoseconds of ``HistoryClock``.
        public var at: UInt64
        /// From the release, the loss, the death or the stop of the holder to the grant.
        public var gap: Duration

        /// How the hold before ended.
        public enum Cause: String, Sendable, CaseIterable {
            /// By a release.
            case released
            /// The lease was lost.
            case lost
            /// The process died.
            case died
            /// The process was stopped, and its lease ran out.
            case stopped
        }
    }

    /// What one process did.
    public struct ProcessCounts: Hashable, Sendable {
        /// How many locks it was granted.
        public var grants = 0
        /// How many of its writes were accepted.
        public var writes = 0
        /// How many of its writes were refused.
        public var refused = 0
        /// How many of its leases were lost.
        public var lost = 0
        /// How often it gave up waiting.
        public var gaveUp = 0
        /// Whether it died.
        public var died = false
    }
}
