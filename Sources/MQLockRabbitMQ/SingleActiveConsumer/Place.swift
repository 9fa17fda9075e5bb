import MQLock

extension Line {
    /// The state of the first in line: the unacknowledged token, and what was published beside it. It interprets
    /// deliveries for the first in line; the line decides what follows.
    struct Place: Equatable, Sendable {
        /// The token that is unacknowledged now.
        private(set) var token: Token
        /// The nonce of the first token †, and its fence †; an exchange does not change them.
        private let first: Nonce
        let fence: FencingToken
        /// The fresh token that replaces the old one, once it is published.
        var exchange: Nonce?
        var wantsExchange: Bool
        var companion: Companion?
        var raising: Raising?

        init(_ token: Token, exchangesFirst: Bool) {
            (self.token, first, fence) = (token, token.nonce, token.fence)
            wantsExchange = exchangesFirst && token.wear == .wornOut
        }

        /// Whether something published is still to be delivered.
        var isAwaiting: Bool {
            if case .published = companion { true } else { exchange != nil }
        }

        mutating func giveUpAwaiting() {
            exchange = nil
            if case .published = companion { companion = nil }
        }
    }

    /// The progress of raising the number. If the queue lost the acknowledgement of the old token, that token would
    /// come first again, and the broker does not answer an acknowledgement. So the number counts as raised when a
    /// companion that was returned after the acknowledgement has come back †.
    enum Raising: Equatable, Sendable {
        /// The fresh token has not come yet.
        case exchanging
        /// The old token is acknowledged; the companion is not returned yet, or was returned before.
        case acknowledged(FencingToken)
        /// The companion was returned after the acknowledgement.
        case proving(FencingToken)
    }

    /// A message that is no token, kept beside it. If it comes back, the queue still serves us.
    enum Companion: Equatable, Sendable {
        case published(Nonce)
        case here(Nonce, delivery: UInt64, count: Int64)
        /// Returned; it must come back with its count + 1 †.
        case away(Nonce, count: Int64)
    }
}

extension Line.Place {
    enum Meaning: Equatable {
        /// To be acknowledged, and reported if there is a text.
        case nothing(String?)
        /// The fresh token is here; this was the delivery of the old one.
        case exchanged(old: UInt64)
        /// The companion is here.
        case proven
        /// Another contender has the place, or had it in between.
        case lost(String)
        /// Another contender has been granted the lock since, and has published this.
        case overtaken(String)
    }

    static let foreign = "a message that is none of mqlock.v1"
    static let absurd = "a token more than a day ahead of this machine's clock, which nobody was granted"

    mutating func take(_ delivery: UInt64, redelivered: Bool, _ content: Line.Content) -> Meaning {
        switch content {
        case .token(first, _, _, _), .token(token.nonce, _, _, _):
            return .lost("the broker delivered the lock's token anew")
        case .token(let nonce, let fence, let wear, _) where nonce == exchange:
            // In between, another contender had it, and so the place.
            guard !redelivered else { return .lost("the broker delivered a fresh token anew") }
            let old = token.delivery
            token = Line.Token(delivery: delivery, nonce: nonce, fence: fence, wear: wear)
            (exchange, wantsExchange) = (nil, false)
            return .exchanged(old: old)
        // Only we publish with this AFTER: we had this token, or another contender has had it †.
        case .token(_, _, _, fence.rawValue) where redelivered:
            return .lost("the broker delivered a token of this hold anew")
        // From a grant after ours †.
        case .token(_, _, _, let after) where after > fence.rawValue:
            return .overtaken("the broker delivered a token of a later holder")
        // Whatever its number, and redelivered or not: it proves nothing †.
        case .token: return .nothing(nil)
        case .absurd(_, count: 0): return .nothing(Self.absurd)
        case .absurd: return .nothing("a token with a number that cannot be")
        case .companion(let nonce, let count): return take(companion: nonce, delivery, redelivered: redelivered, count)
        case .want: return .nothing(nil)
        case .otherKind, .foreign: return .nothing(Self.foreign)
        }
    }

    private mutating func take(
        companion nonce: Nonce, _ delivery: UInt64, redelivered: Bool, _ count: Int64
    ) -> Meaning {
        let isExpected: Bool
        switch companion {
        case .published(nonce): isExpected = !redelivered && count == 0
        case .away(nonce, let before): isExpected = count == before + 1
        case .here(nonce, _, _): isExpected = false
        // From an earlier holder, or one of ours that we no longer wait for.
        case .published, .away, .here, nil: return .nothing(nil)
        }
        guard isExpected else { return .lost("the broker delivered the hold's proof to somebody else in between") }
        companion = .here(nonce, delivery: delivery, count: count)
        return .proven
    }
}
