/// Several locks as one: all of them are acquired, or none is.
///
/// The names are acquired one after the other in the order of their UTF-8 bytes, whatever the order in which they are
/// given. So contenders that lock some of the same names never wait for each other in a circle. Each name counts once.
///
/// ```swift
/// let both = try MultiLock(["warehouse/\(from)", "warehouse/\(to)"], on: locks)
/// try await both.withLock(within: .seconds(10)) { leases in
///     for lease in leases.all { try gate.admit(lease.fencingToken, for: lease.name) }
///     …
/// }
/// ```
///
/// What it costs, and what happens when one lock is lost while another is waited for, is in <doc:ComposedLocks>.
public struct MultiLock: Sendable {
    /// What is locked: each name once, in the order in which they are acquired.
    public let names: [LockName]
    private let provider: any LockProvider

    /// The locks of these names as one; nothing is acquired yet.
    public init(_ names: some Sequence<LockName>, on provider: any LockProvider) {
        self.names = Set(names).sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
        self.provider = provider
    }

    /// Waits for all of the locks and acquires them.
    ///
    /// A lock that is lost while another one is waited for does not end the wait: the others are released, and all are
    /// acquired again from the first, until the deadline.
    /// - Parameter limit: how long to wait for all of them together; `nil` waits until all are granted.
    /// - Throws: ``LockError`` as ``LockProvider/acquire(_:within:)``, in the words of the lock that was not acquired;
    ///   and with code ``LockError/Code/invalidName`` when there are no names. Then nothing is held: the locks that had
    ///   been acquired have been released in reverse order, even when the task is cancelled. Each of these releases is
    ///   a round trip; when the broker is silent, it takes as long as its proof stands.
    public func acquire(within limit: Duration? = nil) async throws(LockError) -> HeldLocks {
        try requireNames()
        let deadline = Deadline(within: limit, provider.clock)
        while true {
            if let held = try await acquireAll(until: deadline) { return held }
        }
    }

    /// Acquires all of the locks if they are free, and answers without waiting for a holder.
    /// - Returns: the held locks, or `nil` when one of them is not free; then none is held.
    /// - Throws: ``LockError`` as ``LockProvider/tryAcquire(_:)``; code ``LockError/Code/lost`` when one was lost while the
    ///   next one was asked for; ``LockError/Code/invalidName`` when there are no names. Then none is held.
    public func tryAcquire() async throws(LockError) -> HeldLocks? {
        try requireNames()
        var taken: [KeptLock] = []
        do throws(LockError) {
            for name in names {
                guard let held = try await provider.tryAcquire(name) else {
                    await taken.rollBack()
                    return nil
                }
                taken.append(KeptLock(held))
            }
            // Before it is made: dropping it would be a leak.
            for lock in taken { try lock.lease.check() }
            return HeldLocks(taken)
        } catch {
            await taken.rollBack()
            throw error
        }
    }

    /// Runs `body` while holding all of the locks, and cancels its task when one of them is lost.
    ///
    /// The locks are released in reverse order when the body has ended, however it ends.
    /// - Parameters:
    ///   - limit: how long to wait for all of them together; `nil` waits until all are granted.
    ///   - body: what to do; it gets the leases.
    /// - Returns: what the body returned.
    /// - Throws: what ``acquire(within:)`` throws; ``LockError`` with code ``LockError/Code/lost`` when one was lost before
    ///   the body ended, its name in the reason's detail, with the body's own error as
    ///   ``LockError/underlying``; else what the body threw.
    public func withLock<R: Sendable>(
        within limit: Duration? = nil, _ body: @escaping @Sendable (MultiLease) async throws -> R
    ) async throws -> R {
        let held = try await acquire(within: limit)
        return try await held.runUntilLost(body)
    }

    private func requireNames() throws(LockError) {
        // A list that is empty by mistake would protect nothing, and no one would notice.
        if names.isEmpty { throw LockError(.invalidName, "there are no names to lock; give at least one") }
    }

    // MARK: Acquiring one after the other

    /// Acquires all of them once; nil when one was lost before all were held, and then none is held.
    private func acquireAll(until deadline: Deadline) async throws(LockError) -> HeldLocks? {
        var taken: [KeptLock] = []
        do throws(LockError) {
            for name in names {
                guard let next = try await acquire(name, within: deadline.left, whileHolding: taken) else {
                    await taken.rollBack()
                    return nil
                }
                taken.append(next)
            }
        } catch {
            await taken.rollBack()
            throw error
        }
        guard taken.allSatisfy(\.lease.isValid) else {
            await taken.rollBack()
            return nil
        }
        return HeldLocks(taken)
    }

    /// Waits for the next lock, and no longer than the ones before it are held: a caller that has lost one would block
    /// others for nothing. Nil when that happened.
    private func acquire(
        _ name: LockName, within limit: Duration?, whileHolding taken: [KeptLock]
    ) async throws(LockError) -> KeptLock? {
        guard !taken.isEmpty else { return KeptLock(try await provider.acquire(name, within: limit)) }
        let before = taken.map(\.lease)
        let result = await runUntil({ await Self.anyIsLost(before) }) { [provider] in
            KeptLock(try await provider.acquire(name, within: limit))
        }
        let isLost = before.contains { !$0.isValid }
        switch result {
        case .success(let next) where isLost:
            await [next].rollBack()
            return nil
        case .success(let next): return next
        case .failure(let error as LockError):
            // Cancelled by us. If the caller cancelled too, the next attempt notices that.
            if isLost, error.code == .cancelled { return nil }
            throw error
        case .failure(let error):
            throw LockError(.internalError, "the lock \(name) was not obtained", underlying: error)
        }
    }

    /// Returns when one of them is lost, or the task is cancelled.
    private static func anyIsLost(_ leases: [Lease]) async {
        await withTaskGroup(of: Void.self) { group in
            for lease in leases { group.addTask { for await state in lease.states where state.isFinal { break } } }
            await group.next()
            group.cancelAll()
        }
    }
}

extension LockProvider {
    /// Runs `body` while holding several locks, and cancels its task when one of them is lost. See ``MultiLock``.
    /// - Parameters:
    ///   - names: what to lock, in any order.
    ///   - limit: how long to wait for all of them together; `nil` waits until all are granted.
    ///   - body: what to do; it gets the leases.
    /// - Returns: what the body returned.
    /// - Throws: as ``MultiLock/withLock(within:_:)``.
    public func withLocks<R: Sendable>(
        _ names: some Sequence<LockName>, within limit: Duration? = nil,
        _ body: @escaping @Sendable (MultiLease) async throws -> R
    ) async throws -> R {
        try await MultiLock(names, on: self).withLock(within: limit, body)
    }
}
