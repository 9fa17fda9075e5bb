extension Inbound {
    /// The kind of request that this answers, if it is an answer.
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
