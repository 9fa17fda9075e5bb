/// Something that an observer was notified of, or concluded, about a lock.
public struct LockChange: Hashable, Sendable {
    /// What happened; new kinds may come with minor versions.
    public struct Kind: Hashable, Sendable, CustomStringConvertible {
        /// The kind's name.
        public let description: String

        /// A contender stands in line.
        public static let waiting = Self(description: "waiting")
        /// A waiter has left the line without the lock.
        public static let left = Self(description: "left")
        /// The lock was granted.
        public static let granted = Self(description: "granted")
        /// The holder released it.
        public static let released = Self(description: "released")
        /// The holder lost it, and said so or vanished.
        public static let lost = Self(description: "lost")
        /// Found when the observation began: the holder at that time, or one that listens only now.
        public static let held = Self(description: "held")

        /// The holder no longer answers: it is stopped, cut off or gone, and no one else holds the lock yet.
        public static let silent = Self(description: "silent")

        static let announced: [Self] = [waiting, left, granted, released, lost]
    }

    /// What happened.
    public package(set) var kind: Kind
    /// To whom.
    public package(set) var contender: LockContender
    /// Why: on `lost`, `left` and `silent`.
    public package(set) var reason: String?

    package init(_ kind: Kind, _ contender: LockContender, reason: String? = nil) {
        self.kind = kind
        self.contender = contender
        self.reason = reason
    }
}
