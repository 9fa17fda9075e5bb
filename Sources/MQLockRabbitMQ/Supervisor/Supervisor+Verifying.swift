import MQLock

/// Checks the access to the broker.
extension Supervisor {
    /// Connects, logs in and checks permissions; returns the problem found.
    func verify(until deadline: ContinuousClock.Instant) async -> LockError? {
        guard machine.accepts else { return .shutDown }
        if isStanding { do throws(LockError) { try session?.behavior.check() } catch { return error } }
        lastAttempt += 1
        let number = lastAttempt
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled else { return continuation.resume(returning: Self.verifyingCancelled) }
                verifications.add(number, until: deadline) { [weak self] obstacle in
                    self?.assumeIsolated { $0.unverified(obstacle) } ?? .shutDown
                } _: {
                    continuation.resume(returning: $0)
                }
                feed(.wanted)
            }
        } onCancel: {
            Task { await self.cancelVerifying(number) }
        }
    }

    private func cancelVerifying(_ number: UInt64) { verifications.end(number, Self.verifyingCancelled) }

    private func unverified(_ obstacle: String?) -> LockError {
        guard isStanding else { return unreachable }
        return LockError(
            .unreachable,
            "the broker at \(settings.endpoint.address) did not answer in time" + (obstacle.map { ": \($0)" } ?? ""))
    }

    private static let verifyingCancelled = LockError(.cancelled, "verifying the access to the broker was cancelled")
}
