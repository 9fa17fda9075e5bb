extension LockProvider {
    /// Runs `body` while holding the lock, and keeps the lock for at least this long after its grant.
    ///
    /// The simple form of ``MarkKeeping/once(_:for:within:marksFailures:_:)-(LockName,_,_,_,_)``, without a mark. It is
    /// for programs whose timers fire at the same time with clocks that differ a little, and which only try
    /// (`within: .zero`): they find the lock held although the job was short. It does not outlive the holder.
    ///
    /// A body that throws releases the lock at once, and the next caller can try; so does the cancellation of the task.
    /// - Parameters:
    ///   - name: what to lock.
    ///   - limit: how long to wait for the lock at most; `nil` waits until granted.
    ///   - least: how long to hold it at least; longer than the clocks differ, and less than the time to the next run.
    ///   - body: what to do; it gets the lease, and its task is cancelled when the lock is lost.
    /// - Returns: what the body returned.
    /// - Throws: as ``withLock(_:within:_:)-(LockName,_,_)``; the lock can be lost while it is kept.
    public func withLock<R: Sendable>(
        _ name: LockName, within limit: Duration? = nil, least: Duration,
        _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        try await withLock(name, within: limit) { lease in
            let end = clock.now.after(least)
            let result = try await body(lease)
            // Cancelled, or lost; the release finds out which.
            try? await clock.sleep(until: end)
            return result
        }
    }
}
