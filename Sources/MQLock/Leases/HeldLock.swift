import Synchronization

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
        guard let ending = hold.begin(else: .released) else { return }
        await hold.end(hold.record, ending)
        if case .lost(let reason) = ending { throw .lost(reason, name: hold.record.name) }
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
    private let hasEnded = Atomic(false)
    fileprivate let end: @Sendable (LeaseRecord, HoldEnding) async -> Void

    /// - Parameter end: releases the lock at the broker and lets the next local waiter continue. It must not be cut
    ///   short by cancellation, and it must be safe to call when the session is gone.
    package init(_ record: LeaseRecord, end: @escaping @Sendable (LeaseRecord, HoldEnding) async -> Void) {
        self.record = record
        self.end = end
    }

    fileprivate func dropped() {
        guard let ending = begin(else: .dropped) else { return }
        Task { [record, end] in await end(record, ending) }
    }

    /// Ends the lease, once.
    /// - Returns: how, if it was not lost before: as asked. Nil when that was done before.
    fileprivate func begin(else ending: HoldEnding) -> HoldEnding? {
        guard !hasEnded.exchange(true, ordering: .relaxed) else { return nil }
        return record.beginRelease().map { .lost($0) } ?? ending
    }
}
