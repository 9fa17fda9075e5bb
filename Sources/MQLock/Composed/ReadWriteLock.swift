/// Many readers or one writer, over all processes; neither side starves. See the article
/// <doc:SemaphoreAndReadWriteLock>.
///
/// ```swift
/// let prices = try ReadWriteLock("prices", on: locks)
/// try await prices.withRead { lease in … }
/// try await prices.withWrite { lease in … }
/// ```
///
/// It is composed of locks of its provider: `prices/turnstile`, and the slots `prices/0` to `prices/15`. A reader holds
/// one slot, a writer all of them. Both pass through the turnstile, which serves them in the order in which they came.
///
/// Leases have the lock's own name, and fencing tokens that are ordered over readers and writers: of two holds of which
/// at least one writes, the later has the larger. So a resource with a ``FenceGate`` refuses a stale writer as well as
/// what a stale reader writes back. Two readers have different tokens, which say nothing about who was first.
///
/// Like every lock here, it is not reentrant, and a reader cannot become a writer: it would wait for itself.
public final class ReadWriteLock: Sendable {
    private let slots: Slots
    private let readers: Int
    private let all: Int

    /// Makes the lock; no I/O.
    /// - Parameters:
    ///   - name: where the processes meet. The locks' names begin with it, so it can have at most 190 bytes.
    ///   - readers: how many can read at once, 1 to 1000; further ones wait. **The same in all processes**, because a
    ///     writer that knows fewer slots than a reader does not exclude it.
    ///   - slots: how many slots a writer acquires, which is how many readers of *other* processes it excludes; at
    ///     least `readers`, by default as many. Set it only while `readers` changes, as the article describes.
    ///   - provider: whose locks it is composed of.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidName`` for a name that is too long, and
    ///   ``LockError/Code/invalidConfiguration`` for numbers that make no sense.
    public init(
        _ name: LockName, readers: Int = 16, slots: Int? = nil, on provider: any LockProvider
    ) throws(LockError) {
        try Slots.check(readers, "the readers of a read-write lock")
        try Slots.check(slots ?? readers, "the slots of a read-write lock")
        guard slots ?? readers >= readers else {
            throw LockError(
                .invalidConfiguration,
                "a read-write lock of \(readers) readers needs as many slots, and was given fewer")
        }
        self.slots = try Slots(of: name, on: provider)
        (self.readers, all) = (readers, slots ?? readers)
    }

    /// Where the processes meet, and the name of all leases.
    public var name: LockName { slots.name }

    // MARK: Reading

    /// Waits until this reader may read.
    ///
    /// A lost connection does not end the wait; it can cost the place in the line.
    /// - Parameter limit: how long to wait at most; `nil` waits until granted.
    /// - Throws: ``LockError``: `timedOut` at the deadline and `cancelled` when the task is cancelled. Then nothing is
    ///   held, even when a grant was on its way. Other codes when waiting makes no sense.
    public func acquireRead(within limit: Duration? = nil) async throws(LockError) -> HeldLock {
        let deadline = slots.deadline(within: limit)
        let entry = try await enter(deadline) { lost throws(LockError) in
            try await self.slots.one(of: self.readers, deadline, unless: lost).map { [$0] }
        }
        return try await reading(entry)
    }

    /// Acquires the lock for reading if that is possible, and answers at once either way.
    ///
    /// - Returns: `nil` when a writer holds it, when all slots for readers are held, or while another contender is at
    ///   the turnstile: a writer that waits, but also another reader on its way through.
    /// - Throws: ``LockError`` as ``acquireRead(within:)``.
    public func tryAcquireRead() async throws(LockError) -> HeldLock? {
        let entry = try await tryEnter { () throws(LockError) in
            try await self.slots.tryOne(of: self.readers).map { [$0] }
        }
        guard let entry else { return nil }
        return try await reading(entry)
    }

    /// Runs `body` while reading, and cancels its task when the lock is lost.
    /// - Parameters:
    ///   - limit: how long to wait at most; `nil` waits until granted.
    ///   - body: what to do; it gets the lease.
    /// - Returns: what the body returned.
    /// - Throws: as ``LockProvider/withLock(_:within:_:)-(LockName,_,_)``.
    public func withRead<R: Sendable>(
        within limit: Duration? = nil, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        try await acquireRead(within: limit).runWhileHeld(body)
    }

    private func reading(_ entry: Entry) async throws(LockError) -> HeldLock {
        // Once the slot is held, the next in line can have the next turn, and its larger token.
        await entry.turn.end(.released)
        return try await held(entry, resting: []) { [slots] in await slots.end(entry.slots, $0) }
    }

    // MARK: Writing

    /// Waits until this writer may write. As ``acquireRead(within:)``.
    public func acquireWrite(within limit: Duration? = nil) async throws(LockError) -> HeldLock {
        let deadline = slots.deadline(within: limit)
        let entry = try await enter(deadline) { lost throws(LockError) in
            try await self.slots.all(self.all, deadline, unless: lost)
        }
        return try await writing(entry)
    }

    /// Acquires the lock for writing if no one holds it, and answers at once either way.
    ///
    /// - Returns: `nil` when another contender holds it or is at the turnstile.
    /// - Throws: ``LockError`` as ``acquireRead(within:)``.
    public func tryAcquireWrite() async throws(LockError) -> HeldLock? {
        guard let entry = try await tryEnter({ () throws(LockError) in try await self.slots.tryAll(self.all) }) else {
            return nil
        }
        return try await writing(entry)
    }

    /// Runs `body` while writing, and cancels its task when the lock is lost. As ``withRead(within:_:)``.
    public func withWrite<R: Sendable>(
        within limit: Duration? = nil, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        try await acquireWrite(within: limit).runWhileHeld(body)
    }

    private func writing(_ entry: Entry) async throws(LockError) -> HeldLock {
        // The turn is kept: so no one waits for slots meanwhile, and it alone also keeps writers from each other.
        try await held(entry, resting: [entry.turn]) { [slots] in
            await slots.end(entry.slots, $0)
            await entry.turn.end($0)
        }
    }

    // MARK: Both

    /// A turn, and the slots that were acquired in it.
    private struct Entry: Sendable {
        let turn: KeptLock
        let slots: [Slots.Taken]

        /// Whether the order of turns is that of the slots; then the turn's number can be the hold's.
        ///
        /// Let two conflict: they share a slot, and the first has lost or released it before the second gets it. If the
        /// first's turn is seen to stand when its slots have been granted, and its slots to stand after that look, then
        /// its turn was granted before the second's, whose turn stands later: turns exclude each other, too. A turn that
        /// was lost on the way says nothing: another may have come and gone with a larger number.
        var isInOrder: Bool { turn.lease.isValid && slots.allSatisfy(\.lock.lease.isValid) }
    }

    /// Acquires a turn and slots in it, as often as it takes to have them in order.
    /// - Parameter take: gets a closure that returns when the turn is lost, and returns nil when it has ended by that.
    private func enter(
        _ deadline: Deadline,
        _ take: (@escaping @Sendable () async -> Void) async throws(LockError) -> [Slots.Taken]?
    ) async throws(LockError) -> Entry {
        while true {
            let turn = try await slots.turn(deadline)
            let states = turn.lease.states
            if let entry = try await entry(
                turn,
                { () throws(LockError) in
                    try await take { for await state in states { if case .lost = state { return } } }
                })
            {
                return entry
            }
        }
    }

    private func tryEnter(_ take: () async throws(LockError) -> [Slots.Taken]?) async throws(LockError) -> Entry? {
        guard let turn = try await slots.tryTurn() else { return nil }
        return try await entry(turn, take)
    }

    /// Nil, and nothing held, when there are no slots or they are not in order.
    private func entry(
        _ turn: KeptLock, _ take: () async throws(LockError) -> [Slots.Taken]?
    ) async throws(LockError) -> Entry? {
        do throws(LockError) {
            if let taken = try await take() {
                let entry = Entry(turn: turn, slots: taken)
                if entry.isInOrder { return entry }
                await slots.end(taken, .released)
            }
        } catch {
            await turn.end(.released)
            throw error
        }
        await turn.end(.released)
        return nil
    }

    private func held(
        _ entry: Entry, resting more: [KeptLock], end: @escaping @Sendable (HoldEnding) async -> Void
    ) async throws(LockError) -> HeldLock {
        guard !Task.isCancelled else {
            await end(.released)
            throw .cancelled(name)
        }
        return HeldLock(
            combining: (entry.slots.map(\.lock) + more).map(\.lease), name: name, token: entry.turn.lease.fencingToken,
            end: end)
    }
}
