extension LockProvider {
    /// Runs `body` while holding the lock, and cancels its task when the lock is lost.
    ///
    /// The lock is released when the body has ended, by whatever way. The body should stop soon after its task is
    /// cancelled; before irreversible steps it should call ``Lease/check(atLeast:)`` and hand
    /// ``Lease/fencingToken`` to the resource, because no cancellation is faster than a paused machine.
    /// - Parameters:
    ///   - name: what to lock.
    ///   - limit: how long to wait for the lock at most; `nil` waits until granted.
    ///   - body: what to do; it gets the lease.
    /// - Returns: what the body returned.
    /// - Throws: what ``acquire(_:within:)`` throws; ``LockError`` with code `lost` when the lock was lost before the
    ///   body ended, with the body's own error as ``LockError/underlying``; else what the body threw.
    public func withLock<R: Sendable>(
        _ name: LockName, within limit: Duration? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        let held = try await acquire(name, within: limit)
        let lease = held.lease
        let result = await Self.runUntilLost(lease, body)
        return try await Self.finish(held, result)
    }

    /// Runs `body` while holding the lock, in the caller's isolation and task.
    ///
    /// For work on an actor's state. Nothing cancels the body on loss: it sees a loss by ``Lease/check(atLeast:)``
    /// only.
    /// - Throws: as ``withLock(_:within:_:)``.
    nonisolated(nonsending) public func withCheckedLock<R>(
        _ name: LockName, within limit: Duration? = nil,
        _ body: nonisolated(nonsending) (Lease) async throws -> R
    ) async throws -> R {
        let held = try await acquire(name, within: limit)
        let result: Result<R, any Error>
        do {
            result = .success(try await body(held.lease))
        } catch {
            result = .failure(error)
        }
        return try await Self.finish(held, result)
    }

    nonisolated(nonsending) private static func finish<R>(
        _ held: consuming HeldLock, _ result: Result<R, any Error>
    ) async throws -> R {
        let name = held.lease.name
        do throws(LockError) {
            try await held.release()
        } catch {
            guard let reason = error.lossReason, case .failure(let own) = result else { throw error }
            throw LockError.lost(reason, name: name, underlying: own)
        }
        return try result.get()
    }

    private static func runUntilLost<R: Sendable>(
        _ lease: Lease, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async -> Result<R, any Error> {
        await withTaskGroup(of: Result<R, any Error>?.self) { group in
            group.addTask {
                do {
                    return .success(try await body(lease))
                } catch {
                    return .failure(error)
                }
            }
            group.addTask {
                for await state in lease.states {
                    if case .lost = state { break }
                }
                return nil
            }
            // Whoever ends first cancels the other: a loss the body, the body's end the watching.
            var result: Result<R, any Error>?
            for await outcome in group {
                group.cancelAll()
                if let outcome { result = outcome }
            }
            return result ?? .failure(LockError(.internalError, "the body of withLock did not end"))
        }
    }
}
