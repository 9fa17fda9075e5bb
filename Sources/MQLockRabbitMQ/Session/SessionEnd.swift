import MQLock

/// Why a session ended.
enum SessionEnd: Sendable {
    case failed(ConnectionFailure)
    /// The broker did not prove in time that the session is alive.
    case proofOverdue
    case shutdown

    /// The reason that holders get.
    var lossReason: LossReason {
        switch self {
        case .failed(let failure): LossReason(.connectionClosed, failure.message)
        case .proofOverdue: LossReason(.proofOverdue)
        case .shutdown: LossReason(.shutdown)
        }
    }
}
