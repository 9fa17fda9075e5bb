import MQLock

extension Line {
    /// What it is to be first: the token that is unacknowledged, and what was published beside it. It says what a delivery
    /// means to whoever is first; what follows from that is up to the line.
    struct Place: Equatable, Sendable {
        /// The one that is unacknowledged now.
        private(set) var token: Token
        /// The nonce of the first token †, and its fence †; an exchange does not change them.
        private let first: Nonce
        let fence: FencingToken
        /// The fresh token that is to take the old one's place, once it is published.
        var exchange: Nonce?
        var wantsExchange: Bool
        var companion: Companion?
        var raising: Raising?

        init(_ token: Token, exchangesFirst: Bool) {
            (self.token, first, fence) = (token, token.nonce, token.fence)
            wantsExchange = exchangesFirst && token.wear == .wornOut
        }

        /// Whether something that was published has yet to be delivered.
        var isAwaiting: Bool {
            if case .published = companion { true } else { exchange != nil }
        }

        mutating func giveUpAwaiting() {
            exchange = nil
            if case .published = companion { companion = nil }
        }
    }

    /// How far the raising of the number has come. The old token would come first once more if the queue forgot its
    /// acknowledgement, which nothing answers: so it counts when a companion has come back that was put back after it †.
    enum Raising: Equatable, Sendable {
        /// The fresh token is yet to come.
        case exchanging
        /// The old token is acknowledged; the companion is yet to be put back, or was before.
        case acknowledged(FencingToken)
        /// The companion was put back behind the acknowledgement.
        case proving(FencingToken)
    }

    /// A message that is no token, kept beside it; where it comes back, the queue still serves us.
    enum Companion: Equatable, Sendable {
        case published(Nonce)
        case here(Nonce, delivery: UInt64, count: Int64)
        /// Put back, to come again with its count and one †.
        case away(Nonce, count: Int64)
    }
}

extension Line.Place {
    enum Meaning: Equatable {
        /// To be acknowledged, and reported where there is a text.
        case nothing(String?)
        /// The fresh token is here; the old one was this delivery.
        case exchanged(old: UInt64)
        /// The companion is here.
        case proven
        /// The place is somebody else's, or was in between.
        case lost(String)
        /// Somebody else has been granted the lock since, and has published this.
        case overtaken(String)
    }

    static let foreign = "a message that is none of mqlock.v1"
    static let absurd = "a token more than a day ahead of this machine's clock, which nobody was granted"

    mutating func take(_ delivery: UInt64, redelivered: Bool, _ content: Line.Content) -> Meaning {
        switch content {
        case .token(first, _, _, _), .token(token.nonce, _, _, _):
            return .lost("the broker delivered the lock's token anew")
        case .token(let nonce, let fence, let wear, _) where nonce == exchange:
            // In between it was somebody else's, and so was the place.
            guard !redelivered else { return .lost("the broker delivered a fresh token anew") }
            let old = token.delivery
            token = Line.Token(delivery: delivery, nonce: nonce, fence: fence, wear: wear)
            (exchange, wantsExchange) = (nil, false)
            return .exchanged(old: old)
        // Only we publish with this: we had it, or somebody else has had it †.
        case .token(_, _, _, fence.rawValue) where redelivered:
            return .lost("the broker delivered a token of this hold anew")
        // What has become of a grant after ours †.
        case .token(_, _, _, let after) where after > fence.rawValue:
            return .overtaken("the broker delivered a token of a later holder")
        // Whatever its number, and whether it came before or not: no evidence of anything †.
        case .token: return .nothing(nil)
        case .absurd(_, count: 0): return .nothing(Self.absurd)
        case .absurd: return .nothing("a token with a number that cannot be")
        case .companion(let nonce, let count): return take(companion: nonce, delivery, redelivered: redelivered, count)
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
        // An earlier holder's, or one of ours that was given up on.
        case .published, .away, .here, nil: return .nothing(nil)
        }
        guard isExpected else { return .lost("the broker delivered the hold's proof to somebody else in between") }
        companion = .here(nonce, delivery: delivery, count: count)
        return .proven
    }
}
