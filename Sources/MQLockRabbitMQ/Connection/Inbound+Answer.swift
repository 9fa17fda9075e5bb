extension Inbound {
    /// Of which kind of request this is the answer, if of any that is awaited.
    var answer: Channel.Answer? {
        switch self {
        case .exchangeDeclareOK: .exchangeDeclared
        case .queueDeclareOK: .queueDeclared
        case .queueDeleteOK: .queueDeleted
        case .queueBindOK, .queueUnbindOK: .bound
        case .consumeOK: .consuming
        case .gotMessage, .getEmpty: .got
        default: nil
        }
    }
}
