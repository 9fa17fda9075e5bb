/// Lets at most so many hold at once, over all processes, first come first served. See the article
/// <doc:SemaphoreAndReadWriteLock>.
///
/// ```swift
/// let semaphore = try Semaphore("reports", permits: 5, on: locks)
/// try await semaphore.withPermit { lease, slot in
///     …
/// }
/// ```
///
/// It is composed of locks of its provider: `reports/turnstile`, and the slots `reports/0` to `reports/4`. A holder has
/// a slot, whose number and name come with the hold. The fencing token is the slot's, and grows with every hold of that
/// slot, not of the semaphore. So a resource that refuses stale holders needs one gate per slot, by ``Lease/name``.
public final class Semaphore: Sendable {
    private struct Numbers {
        var permits: Int
        var changes = Readers<Int>()
    }

    private let slots: Slots
    private let numbers: Locked<Numbers>

    /// Makes the semaphore; no I/O.
    /// - Parameters:
    ///   - name: where the processes meet. The locks' names begin with it, so it can have at most 190 bytes.
    ///   - permits: how many may hold at once, 1 to 1000. Each is a lock of its own at the broker.
    ///   - provider: whose locks it is composed of.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidName`` for a name that is too long, and
    ///   ``LockError/Code/invalidConfiguration`` for a number that makes no sense.
    public init(
        _ name: LockName, permits: Int, on provider: any LockProvider
    ) throws(LockError) {
        try Slots.check(permits, "the permits of a semaphore")
        slots = try Slots(of: name, on: provider)
        numbers = Locked(Numbers(permits: permits))
    }

    /// Where the processes meet.
    public var name: LockName { slots.name }

    /// How many may hold at once, as far as this process is concerned.
    public var permits: Int { numbers.withLock { $0.permits } }

    /// Changes how many may hold at once, for what this process grants itself from now on, waiting calls included.
    ///
    /// Current holders keep their slots, and other processes go by their own numbers: there are never more holders than
    /// the largest number in use. That many are still possible until the last process has the smaller number and the
    /// holders of the slots above it have released.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` for a number that makes no sense.
    public func setPermits(_ permits: Int) throws(LockError) {
        try Slots.check(permits, "the permits of a semaphore")
        numbers.withLock { numbers in
            numbers.permits = permits
            numbers.changes.tell(permits)
        }
    }

    /// Waits for a permit and acquires it.
    ///
    /// Contenders are served in the order in which they came if the provider's
    /// ``LockCapabilities/firstComeFirstServed`` says so. A lost connection does not end the wait; it can cost the
    /// place in the line.
    /// - Parameter limit: how long to wait at most; `nil` waits until granted.
    /// - Throws: ``LockError``: `timedOut` at the deadline and `cancelled` when the task is cancelled. Then nothing is
    ///   held, even when a grant was on its way. Other codes when waiting makes no sense.
    public func acquire(within limit: Duration? = nil) async throws(LockError) -> HeldPermit {
        let deadline = slots.deadline(within: limit)
        let turn = try await slots.turn(deadline)
        let taken: Slots.Taken
        do throws(LockError) {
            taken = try await slot(deadline)
        } catch {
            await turn.end(.released)
            throw error
        }
        // A turn that was lost meanwhile has cost only the order among waiters.
        await turn.end(.released)
        guard !Task.isCancelled else {
            await slots.end([taken], .released)
            throw .cancelled(name)
        }
        return HeldPermit(taken, of: slots)
    }

    private func slot(_ deadline: Deadline) async throws(LockError) -> Slots.Taken {
        while true {
            let (count, changes) = numbers.withLock { ($0.permits, $0.changes.add()) }
            let taken = try await slots.one(of: count, deadline) {
                for await permits in changes where permits != count { return }
            }
            guard let taken else { continue }
            // The number may have changed while the grant was on its way.
            if taken.number < permits { return taken }
            await slots.end([taken], .released)
        }
    }

    /// Acquires a permit if there is one, and answers at once either way.
    ///
    /// It needs no turn, so it can come before a contender that waits for a turn in another process.
    /// - Returns: `nil` when all are held.
    /// - Throws: ``LockError`` as ``acquire(within:)``.
    public func tryAcquire() async throws(LockError) -> HeldPermit? {
        guard let taken = try await slots.tryOne(of: permits) else { return nil }
        return HeldPermit(taken, of: slots)
    }

    /// Runs `body` while holding a permit, and cancels its task when that is lost.
    /// - Parameters:
    ///   - limit: how long to wait for a permit at most; `nil` waits until granted.
    ///   - body: what to do; it gets the lease and the number of the slot.
    /// - Returns: what the body returned.
    /// - Throws: as ``LockProvider/withLock(_:within:_:)-(LockName,_,_)``.
    public func withPermit<R: Sendable>(
        within limit: Duration? = nil, _ body: @escaping @Sendable (Lease, Int) async throws -> R
    ) async throws -> R {
        let permit = try await acquire(within: limit)
        let slot = permit.slot
        defer { slots.isFree(slot) }
        return try await permit.held.runWhileHeld { lease in try await body(lease, slot) }
    }
}

/// A permit of a ``Semaphore`` that is held. The owner of this value has to release it, and can do so once, like a
/// ``HeldLock``.
public struct HeldPermit: ~Copyable, Sendable {
    /// The number of the slot, from 0 on: no two valid permits have the same.
    public let slot: Int
    fileprivate let held: HeldLock
    private let slots: Slots

    fileprivate init(_ taken: Slots.Taken, of slots: Slots) {
        slot = taken.number
        held = taken.lock.take()
        self.slots = slots
    }

    /// The proof of holding, with the slot's name and fencing token.
    public var lease: Lease { held.lease }

    /// The slot's lock as a plain held lock.
    package consuming func asLock() -> HeldLock { held }

    /// Releases the permit.
    /// It completes even when the calling task is cancelled.
    /// It completes even when the calling task is cancelled.
    /// - Throws: ``LockError`` with code ``LockError/Code/lost`` and the reason, when the permit was lost before.
    public consuming func release() async throws(LockError) {
        let (slots, slot) = (slots, slot)
        defer { slots.isFree(slot) }
        try await held.release()
    }
}
