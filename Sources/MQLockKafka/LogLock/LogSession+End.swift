import MQLock

// The end of a session, as its waiters and holders see it.
extension LogSession.End {
    var reason: LossReason {
        switch self {
        case .proofOverdue: LossReason(.proofOverdue, "no record of this session was read back in time")
        case .notOpened: LossReason(.connectionClosed, "the session's first record was not read back in time")
        case .expired: LossReason(.proofOverdue, "another session has expired this one")
        case .notWritten: LossReason(.connectionClosed, "a record could not be written")
        case .gap: LossReason(.connectionClosed, "records are missing in the log that had not been read")
        case .newer(let version): LossReason(.connectionClosed, LogPartition.newer(version))
        case .contradicted(let offset):
            LossReason(
                .connectionClosed,
                "another program has another state behind offset \(offset): the log was damaged, or changed")
        case .otherPartitions(let count):
            LossReason(
                .connectionClosed,
                "another program spreads names over \(count) partitions; all have to name the same number")
        case .closed: LossReason(.shutdown)
        case .idle: LossReason(.shutdown, "nobody has needed the session")
        }
    }

    /// What contenders get when another session would not help.
    var finalCode: LockError.Code? {
        switch self {
        case .newer, .otherPartitions: .incompatible
        default: nil
        }
    }

    /// Whether the end is in the log: written by the session itself, or by another one.
    var isClosed: Bool {
        switch self {
        case .closed, .idle, .expired: true
        default: false
        }
    }
}
