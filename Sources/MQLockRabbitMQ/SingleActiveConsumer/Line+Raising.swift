import MQLock

/// Raises the number of a held lock: exchanges the token for one with a larger number, and has the queue prove that it
/// has removed the old one.
extension Line {
    /// Publishes a token with the number that is needed now. A token already under way has a smaller number, and is
    /// surplus when it comes.
    mutating func raise() -> [Action] {
        guard case .first(var place) = state else { return [] }
        (place.exchange, place.wantsExchange, place.raising) = (nil, true, .exchanging)
        return publishWanted(place)
    }
}

extension Line.Place {
    /// Whether a companion has to be published, because there is none to prove an acknowledgement.
    var needsCompanion: Bool {
        if case .acknowledged = raising { true } else { false }
    }

    /// The fresh token is here, and the old one is acknowledged.
    mutating func exchangedForRaising() -> [Line.Action] {
        guard raising == .exchanging else { return [] }
        raising = .acknowledged(token.fence)
        return proveAcknowledgement()
    }

    /// The companion is here, for the first time or again.
    /// - Parameter isKept: whether the companion stays, to prove the hold.
    mutating func companionCameForRaising(isKept: Bool) -> [Line.Action] {
        switch raising {
        case .exchanging, nil: return []
        case .acknowledged: return proveAcknowledgement()
        case .proving(let fence):
            raising = nil
            guard !isKept, case .here(_, let delivery, _) = companion else { return [.raised(fence)] }
            companion = nil
            return [.acknowledge(delivery), .raised(fence)]
        }
    }

    /// Returns the companion, if it is here: on the same channel, and so behind the acknowledgement.
    private mutating func proveAcknowledgement() -> [Line.Action] {
        guard case .acknowledged(let fence) = raising, case .here(let nonce, let delivery, let count) = companion else {
            return []
        }
        (companion, raising) = (.away(nonce, count: count), .proving(fence))
        return [.putBack(delivery)]
    }
}
