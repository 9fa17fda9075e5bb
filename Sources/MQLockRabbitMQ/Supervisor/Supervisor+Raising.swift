import MQLock

/// Raises the numbers of held locks.
extension Supervisor {
    /// Returns when later grants of the lock carry a number above this one, whatever happens.
    func raise(_ record: LeaseRecord, above token: FencingToken) async throws(LockError) -> FencingToken {
        try record.check(atLeast: .zero)
        let result: Result<FencingToken, LockError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard let lock = lock(of: record), !Task.isCancelled else {
                    return continuation.resume(returning: .failure(Self.raisingCancelled))
                }
                lock.raise(record, above: token) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            Task { await self.cancelRaising(record) }
        }
        do throws(LockError) {
            return try result.get()
        } catch {
            // Why it is no longer held.
            try record.check(atLeast: .zero)
            throw error
        }
    }

    private func cancelRaising(_ record: LeaseRecord) { lock(of: record)?.cancelRaising(Self.raisingCancelled) }

    private static let raisingCancelled = LockError(.cancelled, "raising the number of a lock was cancelled")
}
