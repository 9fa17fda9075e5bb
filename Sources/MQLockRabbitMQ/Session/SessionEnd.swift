import MQLock

/// Why a session ended.
enum SessionEnd: Sendable {
    case failed(ConnectionFailure)
    /// The broker did not prove in time that the session lives.
    case proofOverdue
    case shutdown

    /// What holders are notified of.
    var lossReason: LossReason {
        switch self {
        case .failed(let failure): LossReason(.connectionClosed, failure.message)
        case .proofOverdue: LossReason(.proofOverdue)
        case .shutdown: LossReason(.shutdown)
        }
    }
}
