/// A lock that is held. The owner of this value has to release it, and can do so once.
///
/// It cannot be copied. If it is dropped without ``release()``, it is released in the background, and the leak is
/// reported to the ``LockObserver``.
public struct HeldLock: ~Copyable, Sendable {
    private let hold: Hold

    package init(_ hold: Hold) { self.hold = hold }

    /// The proof of holding, which can be copied freely.
    public var lease: Lease { Lease(hold.record) }

    /// Releases the lock.
    ///
    /// It completes even when the calling task is cancelled. When the lock was lost before, nothing is touched at the
    /// broker, because another contender may hold it by now.
    /// - Throws: ``LockError`` with code ``LockError/Code/lost`` and the reason, when the lock was lost before.
    public consuming func release() async throws(LockError) {
        try await hold.release()
    }

    deinit { hold.dropped() }
}

/// Why a hold ends, for adapters.
public enum HoldEnding: Sendable {
    /// The holder has released the lock.
    case released
    /// It was lost before: the adapter only forgets it, and touches nothing at the broker.
    case lost(LossReason)
    /// The held lock was dropped without a release, which releases it.
    case dropped
}

/// The hold behind a ``HeldLock``: knows how to release, and that this happens once.
package final class Hold: Sendable {
    package let record: LeaseRecord
    private let ended = Locked(false)
    private let end: @Sendable (LeaseRecord, HoldEnding) async -> Void

    /// - Parameter end: releases the lock at the broker and lets the next local waiter continue. It must not be cut
    ///   short by cancellation, and it must be safe to call when the session is gone.
    package init(_ record: LeaseRecord, end: @escaping @Sendable (LeaseRecord, HoldEnding) async -> Void) {
        self.record = record
        self.end = end
    }

    package func release() async throws(LockError) {
        guard beginEnding() else { return }
        if let reason = record.beginRelease() {
            await end(record, .lost(reason))
            throw .lost(reason, name: record.name)
        }
        await end(record, .released)
    }

    package func dropped() {
        guard beginEnding() else { return }
        let reason = record.beginRelease()
        Task { [record, end] in await end(record, reason.map { .lost($0) } ?? .dropped) }
    }

    private func beginEnding() -> Bool {
        ended.withLock { ended in
            defer { ended = true }
            return !ended
        }
    }
}
