import MQLock

/// One connection of one client; every reconnect is a new one.
struct SessionID: Hashable, Sendable {
    let client: Int
    let attempt: Int
}

/// One request for one lock; stays the same when its client stands in line again over another session.
struct ContenderID: Hashable, Sendable, Comparable {
    let number: UInt64

    static func < (left: Self, right: Self) -> Bool { left.number < right.number }
}

/// A request about the marks of a name.
enum MarkRequest: Sendable {
    /// Stays the same when its client asks again over another session.
    struct ID: Hashable, Sendable, Comparable {
        let number: UInt64

        static func < (left: Self, right: Self) -> Bool { left.number < right.number }
    }

    case read(LockName)
    case write(DoneMark, LockName)
}

/// What clients send.
struct Request: Sendable {
    enum Body: Sendable {
        case open
        case renew
        /// `once`: refused unless the lock can be granted at once.
        case join(LockName, ContenderID, kind: String, once: Bool)
        /// Leaves the line. A contender that has been granted the lock keeps it: the grant is on its way, and a release
        /// follows.
        case withdraw(LockName, ContenderID)
        case release(LockName, ContenderID)
        /// Makes later grants carry more than this number; only a holder's request counts.
        case raise(LockName, ContenderID, to: UInt64)
        /// Only sent by a mutant: releases the lock of any holder.
        case releaseAnyone(LockName)
        /// Reads the marks of a name, or writes one. The answer to both is the marks that there are then.
        case marks(MarkRequest, MarkRequest.ID)
        case close
    }

    let session: SessionID
    /// Echoed by the answer.
    let number: UInt64
    let body: Body

    var isRenewal: Bool { if case .renew = body { true } else { false } }
}

/// What the broker sends: answers, and grants whenever they come.
struct Delivery: Sendable {
    enum Body: Sendable {
        case opened
        case renewed
        case joined(ContenderID)
        case refused(ContenderID)
        case incompatible(ContenderID, existing: String)
        case granted(LockName, ContenderID, FencingToken)
        case withdrawn(ContenderID)
        case released(ContenderID?)
        /// False: the contender does not hold the lock.
        case raised(ContenderID, Bool)
        case queueDeleted(ContenderID)
        case marks([DoneMark], MarkRequest.ID)
        case closed
    }

    let session: SessionID
    /// Of the request that this answers; nil for what comes unasked.
    let answers: UInt64?
    let body: Body

    var isRenewal: Bool { if case .renewed = body { true } else { false } }
}
