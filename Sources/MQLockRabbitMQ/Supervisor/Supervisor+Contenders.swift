import MQLock

/// What tasks ask of the loop: to acquire, to release, to keep. Each is one job there.
extension Supervisor {
    /// Waits for the lock; nil for a try when another contender holds it.
    /// - Parameter mayMove: whether another session could serve it if this one has no channel.
    ///
    /// Not on the loop: it takes a job there, and its answer comes from there directly.
    nonisolated func acquire(
        _ name: LockName, waits: Bool, deadline: ContinuousClock.Instant?, mayMove: Bool
    ) async throws(LockError) -> LeaseRecord? {
        let cancellation = Cancellation()
        let result: Result<LeaseRecord?, LockError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let contender = Contender(
                    cancellation: cancellation, waits: waits, start: .now, deadline: deadline, mayMove: mayMove
                ) { continuation.resume(returning: $0) }
                onLoop { $0.contend(name, contender) }
            }
        } onCancel: {
            // In this order: whichever of the two jobs comes first, the contender is cancelled.
            cancellation.begin()
            onLoop { $0.locks.byName[name]?.cancel(cancellation) }
        }
        return try result.get()
    }

    private func contend(_ name: LockName, _ contender: Contender) {
        do throws(LockError) {
            guard !contender.cancellation.hasBegun else { throw .cancelled(name) }
            guard machine.accepts else { throw .shutDown }
            if isStanding { try session?.behavior.check() }
            if !contender.waits, machine.hasFailed { throw unreachable }
            let lock = try locks.lock(name, isStanding ? session : nil)
            lock.acquire(contender)
            awaitSession(lock)
            feed(.wanted)
        } catch {
            contender.answer(.failure(error))
        }
    }

    /// Does this on the loop, after all that was asked of it before. Does not wait for it.
    private nonisolated func onLoop(_ body: @escaping @Sendable (isolated Supervisor) -> Void) {
        loop.run { self.assumeIsolated(body) }
    }

    /// The lock that is held by this lease; nil when it is lost or released.
    func lock(of record: LeaseRecord) -> BrokerLock? {
        guard let lock = locks.byName[record.name], lock.record === record else { return nil }
        return lock
    }

    /// Releases a grant; does nothing when the lock is no longer held here.
    ///
    /// It does not wait for the loop. Nothing can undo the release: the loop does it before all that is asked of it
    /// later, and if the process or the session ends first, the broker does it.
    nonisolated func release(_ record: LeaseRecord) { onLoop { $0.locks.byName[record.name]?.release(record) } }

    /// A lock stays here after its release, at most until this instant.
    nonisolated func keep(_ tenure: Tenure, until end: CompactInstant) {
        onLoop { $0.locks.byName[tenure.name]?.keep(tenure, until: end.instant) }
    }
}
