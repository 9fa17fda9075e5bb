import MQLock

extension Supervisor {
    /// Asks until the broker has answered, over one session after the other.
    func ask(
        _ request: MarkRequest, of name: LockName, until deadline: ContinuousClock.Instant?
    ) async throws(LockError) -> [DoneMark] {
        // While the provider drains, holders finish what they have started.
        guard request.isRead ? machine.accepts : machine.state != .stopped else { throw .shutDown }
        if isStanding { try session?.behavior.check() }
        let startup = wasConnected ? nil : settings.startupTimeout.map { ContinuousClock.now.after($0) }
        lastAttempt += 1
        let number = lastAttempt
        let result: MarkRequests.Answer = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled else {
                    return continuation.resume(returning: .failure(request.cancelled(name)))
                }
                marks.add(number, request, of: name, until: [deadline, startup].compactMap(\.self).min()) {
                    [weak self] obstacle in
                    self?.assumeIsolated { $0.overdue(request, of: name, obstacle) } ?? .shutDown
                } _: {
                    continuation.resume(returning: $0)
                }
                if machine.accepts { feed(.wanted) }
            }
        } onCancel: {
            Task { await self.cancelAsking(number, request.cancelled(name)) }
        }
        return try result.get()
    }

    private func cancelAsking(_ number: UInt64, _ error: LockError) { marks.end(number, .failure(error)) }

    private func overdue(_ request: MarkRequest, of name: LockName, _ obstacle: String?) -> LockError {
        let cause = isStanding ? obstacle : unreachable.message
        let detail = cause.map { ": \($0)" } ?? ""
        return switch request {
        case .read:
            LockError(.unreachable, "the broker did not say in time what has been done under \(name)\(detail)")
        case .write:
            LockError(
                .outcomeUnknown,
                "the broker did not confirm in time what has been done under \(name), so it may be done again\(detail)")
        }
    }
}

extension MarkRequest {
    fileprivate func cancelled(_ name: LockName) -> LockError {
        switch self {
        case .read: LockError(.cancelled, "looking for what has been done under \(name) was cancelled")
        case .write: LockError(.cancelled, "writing down what has been done under \(name) was cancelled")
        }
    }
}
