import Synchronization

/// A lock that its holder may acquire again: the inner `withLock` gets the lease of the outer one.
///
/// For functions that each need the lock and call each other. What counts is name and provider, not this value: make
/// one where it is needed. The hold is passed on by a task-local value, to the body's own task and its child tasks
/// (`async let`, task groups). All other tasks wait, a detached task too.
///
/// ```swift
/// func restock(_ item: Item) async throws {
///     try await ReentrantLock("inventory", on: locks).withLock { lease in
///         try await count(item)                    // locks the same name: the same lease, no round trip
///     }
/// }
/// ```
///
/// What happens to tasks that outlive the outer body is in <doc:ComposedLocks>.
public struct ReentrantLock: Sendable {
    /// What is locked.
    public let name: LockName
    private let provider: any LockProvider

    /// Which holds are inside which, by task.
    @TaskLocal private static var holds: [Key: OuterHold] = [:]

    /// The lock of a name; nothing is acquired yet.
    /// - Parameters:
    ///   - name: what to lock.
    ///   - provider: an instance of a class, as all providers of this package are, because its identity distinguishes
    ///     it.
    public init(_ name: LockName, on provider: any LockProvider) {
        (self.name, self.provider) = (name, provider)
    }

    /// Runs `body` while holding the lock, and cancels its task when the lock is lost.
    ///
    /// Inside a body that holds it, nothing is acquired and the broker is not asked: `body` gets the outer lease, with
    /// the same fencing token. The lock is released when the outermost body has ended.
    /// - Parameters:
    ///   - limit: how long to wait for the lock at most; `nil` waits until granted.
    ///   - body: what to do; it gets the lease.
    /// - Returns: what the body returned.
    /// - Throws: as ``LockProvider/withLock(_:within:_:)-(LockName,_,_)``. An inner call throws ``LockError`` with code
    ///   ``LockError/Code/lost`` when the outer lease is lost before its body begins or ends, `cancelled` when the task is
    ///   cancelled before its body begins, and `released` when the outer body ended first. Code `invalidConfiguration` when
    ///   the provider is no instance of a class.
    public func withLock<R: Sendable>(
        within limit: Duration? = nil, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        let key = try Key(name, provider)
        if let outer = Self.holds[key], !outer.isOver { return try await reenter(outer.lease, body) }
        return try await provider.withLock(name, within: limit) { [provider] lease in
            let hold = OuterHold(lease, of: provider)
            defer { hold.end() }
            var holds = Self.holds
            holds[key] = hold
            return try await Self.$holds.withValue(holds) { try await body(lease) }
        }
    }

    private func reenter<R: Sendable>(
        _ lease: Lease, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        // In this order: a loss cancels the task, too, and says more.
        try require(lease)
        if Task.isCancelled { throw LockError.cancelled(name) }
        // An inner body whose task is not a child of the outer body's is not cancelled with it.
        let result = await runUntil({ for await state in lease.states where state.isFinal { break } }) {
            try await body(lease)
        }
        if case .failure(let own) = result { try require(lease, underlying: own) } else { try require(lease) }
        return try result.get()
    }

    private func require(_ lease: Lease, underlying: (any Error)? = nil) throws(LockError) {
        switch lease.record.state {
        case .held, .suspect: break
        case .lost(let reason): throw .lost(reason, name: name, underlying: underlying)
        case .released:
            throw LockError(
                .released, "the outer hold of the lock \(name) ended before what was done inside of it",
                underlying: underlying)
        }
    }

    /// Which lock of which provider.
    private struct Key: Hashable {
        let provider: ObjectIdentifier
        let name: LockName

        init(_ name: LockName, _ provider: any LockProvider) throws(LockError) {
            // A copy would be another lock, and its holder would wait for itself.
            guard type(of: provider) is AnyClass else {
                throw LockError(
                    .invalidConfiguration,
                    "a reentrant lock needs a provider that is an object, and \(type(of: provider)) is none")
            }
            self.provider = ObjectIdentifier(provider as AnyObject)
            self.name = name
        }
    }

    /// What an outer body passes on.
    private final class OuterHold: Sendable {
        let lease: Lease
        /// Lives as long as its address identifies it.
        private let provider: any LockProvider
        private let hasEnded = Atomic(false)

        init(_ lease: Lease, of provider: any LockProvider) { (self.lease, self.provider) = (lease, provider) }

        /// Whether the outer body has ended. Tasks that continue have to acquire the lock like all others.
        var isOver: Bool { hasEnded.load(ordering: .acquiring) }

        func end() { hasEnded.store(true, ordering: .releasing) }
    }
}
