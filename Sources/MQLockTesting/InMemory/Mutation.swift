/// Defects that can be built into the in-memory broker and its clients, for testing the conformance suite: a suite
/// that passes a mutated provider tests nothing.
package struct Mutation: OptionSet, Sendable, Hashable, CustomStringConvertible {
    /// The set as bits.
    package let rawValue: UInt32

    /// A set of defects from its bits.
    package init(rawValue: UInt32) { self.rawValue = rawValue }

    /// A grant that arrives after its contender gave up is kept by no one and never put back (rule 5).
    package static let lateGrantNotPutBack = Self(rawValue: 1 << 0)
    /// Proof of life counts from the receipt of an answer instead of the sending of its request (rule 4).
    package static let proofByReceiptTime = Self(rawValue: 1 << 1)
    /// Every grant of a name carries the same token (rule 2).
    package static let tokenNotIncreased = Self(rawValue: 1 << 2)
    /// Leases of a lost session are not notified (rule 3).
    package static let lossNotReported = Self(rawValue: 1 << 3)
    /// The broker grants to the first two contenders in line (rule 1).
    package static let secondProcessGranted = Self(rawValue: 1 << 4)
    /// The release of a lost lock releases the lock of the name's current holder (rule 7).
    package static let releaseTouchesSuccessor = Self(rawValue: 1 << 5)
    /// Waiters are not put back in line after a reconnect (rule 6).
    package static let waiterForgottenOnReconnect = Self(rawValue: 1 << 6)
    /// A request that is never answered is considered done (rule 8).
    package static let noWaitForAnswer = Self(rawValue: 1 << 7)
    /// Waiters ask again and again instead of waiting for a push (rule 10).
    package static let polls = Self(rawValue: 1 << 8)
    /// A dropped held lock stays held (rule 7).
    package static let dropNotReleased = Self(rawValue: 1 << 9)
    /// The limit on waiters is not kept (rule 11).
    package static let waitersUnbounded = Self(rawValue: 1 << 10)
    /// Objects of another kind are considered our own (rule 12).
    package static let kindNotChecked = Self(rawValue: 1 << 11)
    /// Tokens begin again after the name's queue was deleted (rule 2).
    package static let tokensForgottenOnDelete = Self(rawValue: 1 << 12)
    /// Proof of life is never checked: only the broker's word ends a session (rules 3 and 4).
    package static let noProof = Self(rawValue: 1 << 13)

    /// A number that was raised is confirmed and forgotten.
    package static let raiseForgotten = Self(rawValue: 1 << 14)

    private static let names: [(Self, String)] = [
        (.lateGrantNotPutBack, "lateGrantNotPutBack"), (.proofByReceiptTime, "proofByReceiptTime"),
        (.tokenNotIncreased, "tokenNotIncreased"), (.lossNotReported, "lossNotReported"),
        (.secondProcessGranted, "secondProcessGranted"), (.releaseTouchesSuccessor, "releaseTouchesSuccessor"),
        (.waiterForgottenOnReconnect, "waiterForgottenOnReconnect"), (.noWaitForAnswer, "noWaitForAnswer"),
        (.polls, "polls"), (.dropNotReleased, "dropNotReleased"), (.waitersUnbounded, "waitersUnbounded"),
        (.kindNotChecked, "kindNotChecked"), (.tokensForgottenOnDelete, "tokensForgottenOnDelete"),
        (.noProof, "noProof"), (.raiseForgotten, "raiseForgotten"),
    ]

    /// The defects' names.
    package var description: String {
        Self.names.filter { contains($0.0) }.map(\.1).joined(separator: " + ")
    }
}
