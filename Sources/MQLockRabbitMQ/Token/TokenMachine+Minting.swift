/// Minting anew, on classic queues only: a valid token that came redelivered is replaced by a fresh one.
///
/// A token comes redelivered when its holder died, which the broker does not count there, or when the broker did, which
/// takes counts back (RabbitMQ 3.10.8, kill -9: from 367 to 0, and the mark was set in 150 of 150 queues). In neither
/// case does its count tell what has been granted before.
///
/// The delivery of the old token is what makes one the only minter, and a crash anywhere does no harm: the old token
/// comes back redelivered, to be minted or, once the register names another, to be dropped.
extension TokenMachine {
    /// The step under way, while the old token is ours.
    enum Minting: Equatable, Sendable {
        case deletingRegister
        case publishing
        /// Asks the register to name the new token, on a channel of its own.
        case claiming
    }

    func mustBeMinted(_ token: Token) -> Bool {
        durability == .fast && token.isRedelivered && mutant != .neverMints
    }

    /// The register has just said that the token is the valid one.
    mutating func mint(_ token: Token) -> [Action] {
        state = .minting(token, .deletingRegister)
        return withdrawPin() + [.request(.deleteRegister)]
    }

    /// Takes our consumer off the register, so that its deletion is not told us as a loss.
    private mutating func withdrawPin() -> [Action] {
        guard pin == .placed else { return [] }
        forgetPin()
        return [.withdrawPin]
    }

    mutating func registerDeleted(_ token: Token) -> [Action] {
        state = .minting(token, .publishing)
        lastMint += 1
        return [.mint(lastMint, above: token)]
    }

    mutating func minted(_ number: UInt64, _ nonce: Nonce) -> [Action] {
        guard case .minting(let token, .publishing) = state, number == lastMint else { return [] }
        state = .minting(token, .claiming)
        lastVerification += 1
        return [.verify(lastVerification, nonce)]
    }

    func isClaimingMint(_ verification: UInt64) -> Bool {
        guard case .minting(_, .claiming) = state else { return false }
        return verification == lastVerification
    }

    /// The register names another token, ours or one that was seeded meanwhile: only now the old one may go.
    mutating func mintSettled() -> [Action] {
        guard case .minting(let token, _) = state else { return [] }
        let acknowledged = Action.acknowledge(token.deliveryTag)
        guard wanted != nil else {
            state = .idle
            return [acknowledged] + (token.consumerTag.map { cancel($0, nil) } ?? [])
        }
        if let tag = token.consumerTag {
            state = .consuming(tag: tag)
            return [acknowledged]
        }
        state = .getting
        return [acknowledged] + placePin() + [.get]
    }

    /// Begins anew: with the channel the old token goes back, as it came.
    mutating func mintFailed(_ number: UInt64, _ fault: ChannelFault? = nil) -> [Action] {
        guard case .minting = state, number == lastMint else { return [] }
        let closed = dropChannel()
        guard let fault else { return closed + (wanted == nil ? [] : pause()) }
        return closed + refuse(fault, doing: "publishing the lock's token")
    }
}
