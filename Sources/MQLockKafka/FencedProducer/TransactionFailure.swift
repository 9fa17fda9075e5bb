import MQLock

/// How a transaction failed, and what this means for its records.
struct TransactionFailure: Error, Equatable {
    /// How far it got.
    enum Step: CaseIterable {
        /// The producer was being created and registered.
        case starting
        /// Records and offsets were being sent; no commit had been requested.
        case writing
        /// The commit had been requested.
        case committing
    }

    /// The outcome of the attempt to abort it.
    enum Abort: CaseIterable {
        case notTried, done, failed
    }

    var step: Step
    var failure: KafkaFailure
    var abort = Abort.notTried

    /// Whether the transaction may have been committed.
    ///
    /// Before the commit is requested, no commit is possible. After that, a broker that has fenced the producer did so
    /// because it had aborted the transaction, and one that accepts an abort had not committed. Everything else leaves
    /// it open.
    var isOutcomeUnknown: Bool {
        step == .committing && !failure.code.isFenced && !(failure.needsAbort && abort == .done)
    }

    /// Whether to try an abort: so that nobody has to wait for the transaction's time-out, and to know more.
    static func wantsAbort(_ step: Step, _ failure: KafkaFailure) -> Bool {
        guard !failure.isFatal, !failure.code.isFenced else { return false }
        switch step {
        case .starting: return false
        case .writing: return true
        case .committing: return failure.needsAbort
        }
    }

    /// The caller's error.
    /// - Parameter lost: why the lease is lost, as far as is known here.
    func error(name: LockName, lost: LossReason?) -> LockError {
        if isOutcomeUnknown {
            return LockError(
                .outcomeUnknown,
                """
                output under \(name) was sent, and whether it was committed is not known: \(failure.text); the broker \
                decides within the transaction's time-out, all or nothing: read back what was written before writing it \
                again
                """, underlying: failure)
        }
        if let lost { return notCommitted(.lost, name, "the lock was lost: \(lost)", lost) }
        if failure.code.isStaleMembership {
            // The broker knew it before us.
            let reason = LossReason(.partitionLost, failure.text)
            return notCommitted(.lost, name, "the broker refused it: \(reason)", reason)
        }
        if failure.code.isTooMuch { return notCommitted(.limitExceeded, name, "\(failure.text); write less at a time") }
        if let code = failure.code.needsAttention {
            let general = LockError(failure, while: "writing output")
            return notCommitted(code, name, general.message)
        }
        return notCommitted(.unreachable, name, "\(failure.text); try again as long as the lease is valid")
    }

    private func notCommitted(
        _ code: LockError.Code, _ name: LockName, _ why: String, _ reason: LossReason? = nil
    ) -> LockError {
        LockError(
            code, "nothing of the output under \(name) was committed: \(why)", lossReason: reason, underlying: failure)
    }
}
