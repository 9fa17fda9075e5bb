import MQLock

// Callers that read marks, or write one.
extension LogDriver {
    typealias MarkAnswer = CheckedContinuation<Result<[DoneMark], LockError>, Never>

    /// A call that waits for its answer.
    struct MarkCaller: Sendable {
        let request: MarkRequest
        let deadline: ContinuousClock.Instant?
        /// By when the first session has to be open.
        var startupDeadline: ContinuousClock.Instant?
        let cancellation: Cancellation
        let answer: MarkAnswer
    }

    // MARK: From any thread

    func ask(_ number: UInt64, _ caller: MarkCaller) {
        guard send(.request(number, caller), starts: true) else {
            caller.answer.resume(returning: .failure(LockError(.shutDown, "the provider was shut down")))
            return
        }
    }

    // MARK: The thread

    func request(_ number: UInt64, _ caller: MarkCaller) {
        var caller = caller
        caller.startupDeadline = startupDeadline
        guard !caller.cancellation.isCancelled else {
            caller.answer.resume(returning: .failure(caller.request.cancelled))
            return
        }
        markCallers[number] = caller
        let request = caller.request
        perform(slot(for: request.name)) {
            drainUntil == nil || !request.isRead
                ? $0.request(number, request, at: $1)
                : [.failed(number, .shutDown, "the provider was shut down")]
        }
    }

    func giveUpRequest(_ number: UInt64, _ caller: MarkCaller, _ error: LockError) {
        markCallers[number] = nil
        perform(partition(of: caller.request.name)) { $0.giveUpRequest(number, at: $1) }
        caller.answer.resume(returning: .failure(error))
    }

    func answer(_ number: UInt64, _ result: Result<[DoneMark], LockError>) {
        markCallers.removeValue(forKey: number)?.answer.resume(returning: result)
    }
}

extension MarkRequest {
    /// - Parameter obstacle: the known cause, if any.
    func overdue(_ obstacle: LockError?) -> LockError {
        let detail = obstacle.map { ": \($0.message)" } ?? ""
        return switch self {
        case .read:
            LockError(
                .unreachable, "the log did not say in time what has been done under \(name)\(detail)",
                underlying: obstacle)
        case .write:
            LockError(
                .outcomeUnknown,
                "what has been done under \(name) was not read back in time, so it may be done again\(detail)",
                underlying: obstacle)
        }
    }

    var cancelled: LockError {
        switch self {
        case .read: LockError(.cancelled, "looking for what has been done under \(name) was cancelled")
        case .write: LockError(.cancelled, "writing down what has been done under \(name) was cancelled")
        }
    }
}
