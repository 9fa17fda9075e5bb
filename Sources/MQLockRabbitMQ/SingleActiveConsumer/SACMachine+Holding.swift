import MQLock

/// Holding, renewing, noticing that the place is lost.
extension SACMachine {
    mutating func deliveredToHolder(
        _ hold: Hold, _ delivery: UInt64, _ redelivered: Bool, _ content: Content
    ) -> [Action] {
        if redelivered, mutant != .holderIgnoresRedelivered {
            // Everything that was in the queue before us came before our own token: the broker has taken deliveries back
            // since, ours among them †.
            return losePlace("the broker delivered messages anew")
        }
        guard case .token(let message, let isFarAhead) = content else {
            return [.acknowledge(delivery), .report("a message that is no token of mqlock.v1")]
        }
        if message.isSeed {
            return [.acknowledge(delivery)] + (isFarAhead ? [.report("a seed from more than a day ahead")] : [])
        }
        if hold.renewal?.nonce == message.nonce {
            var hold = hold
            hold.renewal?.delivery = delivery
            return settleRenewal(hold)
        }
        // What a contender before us, or we ourselves, had published, and it took its time.
        if message.number <= hold.token.number || hold.givenUp.contains(message.nonce) {
            return [.acknowledge(delivery)]
        }
        return losePlace("another contender has published a larger token")
    }

    /// Nothing is acknowledged: what there is goes to the next †.
    private mutating func losePlace(_ why: String) -> [Action] {
        [.lose(LossReason(.channelClosed, "the place in line is lost: \(why)"))] + leave()
    }

    /// Publishes the next number, in time before the broker wants the held delivery acknowledged.
    mutating func renewalDue() -> [Action] {
        guard case .held(let hold) = state, hold.renewal == nil else { return [] }
        return [.publish(above: hold.token.number)]
    }

    mutating func settleRenewal(_ hold: Hold) -> [Action] {
        guard let renewal = hold.renewal, let token = renewal.settled else {
            state = .held(hold)
            return []
        }
        // Those given up on are no larger than this one and need not be remembered.
        state = .held(Hold(token: token))
        return [.acknowledge(hold.token.delivery), .renewed(renewal.nonce)]
    }

    mutating func giveUpRenewal(_ hold: Hold) -> [Action] {
        guard let renewal = hold.renewal else { return [] }
        var hold = hold
        hold.renewal = nil
        hold.givenUp.insert(renewal.nonce)
        state = .held(hold)
        let acknowledged: [Action] = renewal.delivery.map { [.acknowledge($0)] } ?? []
        return acknowledged + [start(.publish)]
    }
}
