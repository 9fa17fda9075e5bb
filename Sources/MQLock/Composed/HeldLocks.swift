/// Several locks that ``MultiLock`` holds as one. The owner of this value has to release it, and can do so once.
///
/// It cannot be copied. If it is dropped without ``release()``, each lock is released in the background and reported as
/// a leak to the ``LockObserver``.
public struct HeldLocks: ~Copyable, Sendable {
    /// The proof of holding all of them, which can be copied freely.
    public let leases: MultiLease
    private let held: HeldLock

    /// - Parameter taken: at least one, in the order in which they were acquired.
    init(_ taken: [KeptLock]) {
        let parts = taken.map(\.lease)
        // Each has the same right to the name of the whole, and none to its token, which is never shown.
        held = HeldLock(combining: parts, name: .joined(parts.map(\.name)), token: parts[0].fencingToken) { ending in
            for lock in taken.reversed() { await lock.end(ending) }
        }
        leases = MultiLease(parts, whole: held.lease)
    }

    /// Releases all of the locks, the last one first.
    ///
    /// It completes even when the calling task is cancelled. A lock that was lost before is not touched at the broker.
    /// - Throws: ``LockError`` with code ``LockError/Code/lost`` when a lock was lost before; the reason's detail has its name.
    ///   All others have been released by then.
    public consuming func release() async throws(LockError) { try await held.release() }

    /// As ``HeldLock/runUntilLost(_:_:)``.
    consuming func runUntilLost<R: Sendable>(
        _ body: @escaping @Sendable (MultiLease) async throws -> R
    ) async throws -> R {
        let leases = leases
        return try await held.runUntilLost({ for await state in leases.states where state.isFinal { break } }) { _ in
            try await body(leases)
        }
    }
}

extension [KeptLock] {
    /// Releases them, the last one first. Whether one had been lost is not reported: the whole was never held.
    func rollBack() async { for lock in reversed() { await lock.end(.released) } }
}

extension LockName {
    /// The common name of several names, as far as it fits into a name.
    fileprivate static func joined(_ names: [LockName]) -> LockName {
        var text = ""
        for name in names.map(\.string) {
            let longer = text.isEmpty ? name : "\(text) + \(name)"
            guard longer.utf8.count <= maximumLength - 4 else {
                text = text.isEmpty ? name : "\(text) + …"
                break
            }
            text = longer
        }
        return (try? LockName(text)) ?? names[0]
    }
}
