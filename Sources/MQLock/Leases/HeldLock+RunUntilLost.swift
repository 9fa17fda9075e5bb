extension HeldLock {
    /// Runs `body` in a child task, cancels it when `lost` returns first, and releases the lock when the body has
    /// ended.
    ///
    /// The code that notices a loss has others to notify, so it only ends what `lost` waits for. The caller's own task
    /// cancels the body's task: the body's cancellation handlers run on that task's thread, and may block.
    /// - Parameters:
    ///   - lost: returns when the body has to end. It is cancelled when the body has ended.
    ///   - body: what to do; it gets the lease.
    /// - Throws: ``LockError`` with code ``LockError/Code/lost`` when the lock was lost before the body ended, with the
    ///   body's own error as ``LockError/underlying``; else what the body threw.
    package consuming func runUntilLost<R: Sendable>(
        _ lost: @escaping @Sendable () async -> Void, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        let lease = lease
        let result = await runUntil(lost) { try await body(lease) }
        return try await finish(result)
    }

    /// Runs `body` in a child task, which is cancelled when the lock is lost, and releases the lock when the body has
    /// ended.
    /// - Throws: as ``runUntilLost(_:_:)``.
    consuming func runWhileHeld<R: Sendable>(_ body: @escaping @Sendable (Lease) async throws -> R) async throws -> R {
        let states = lease.states
        return try await runUntilLost({ for await state in states { if case .lost = state { break } } }, body)
    }

    /// Releases the lock behind work that has ended.
    /// - Throws: as ``runUntilLost(_:_:)``.
    nonisolated(nonsending) consuming func finish<R>(_ result: Result<R, any Error>) async throws -> R {
        let name = lease.name
        do throws(LockError) {
            try await release()
        } catch {
            guard let reason = error.lossReason, case .failure(let own) = result else { throw error }
            throw LockError.lost(reason, name: name, underlying: own)
        }
        return try result.get()
    }
}

/// Runs `body` in a child task, and cancels it when `ended` returns first. Returns the body's result when it has ended.
func runUntil<R: Sendable>(
    _ ended: @escaping @Sendable () async -> Void, _ body: @escaping @Sendable () async throws -> R
) async -> Result<R, any Error> {
    await withTaskGroup(of: Result<R, any Error>?.self) { group in
        group.addTask {
            do {
                return .success(try await body())
            } catch {
                return .failure(error)
            }
        }
        group.addTask {
            await ended()
            return nil
        }
        // The one that ends first cancels the other: a loss cancels the body, the body's end cancels the watch.
        var result: Result<R, any Error>?
        for await outcome in group {
            group.cancelAll()
            if let outcome { result = outcome }
        }
        return result ?? .failure(LockError(.internalError, "the body under a lock did not end"))
    }
}
