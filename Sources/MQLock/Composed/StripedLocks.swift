/// Any number of entities on a bounded number of locks.
///
/// A lock is an object on the broker, so a lock for each order or customer is as many objects as there have ever been
/// orders. Here each entity belongs to one of `slots` locks by a hash of its name. Two entities that share one wait for
/// each other now and then, and that is all it costs. A few times as many slots as there are workers are enough.
///
/// ```swift
/// let stripes = try StripedLocks("orders", slots: 64, on: locks)
/// try await stripes.withLock(order.id) { lease in … }                     // holds orders/64/17, say
/// try await stripes.withLocks([order.id, other.id]) { leases in … }       // both, in the one order that cannot deadlock
/// ```
///
/// Inside a body, acquire no other entity of the same stripes, because it may be on the same lock. Acquire all of them
/// in one call.
///
/// The names of the locks contain the number of slots: with another number, an entity is on another lock. All processes
/// have to use the same number, and <doc:ComposedLocks> says how to change it.
public struct StripedLocks: Sendable {
    /// What the names of the locks begin with.
    public let prefix: LockName
    /// How many locks there are.
    public let slots: Int
    /// More do not help: that many tasks do not work at once.
    public static let maximumSlots = 65_536

    private let provider: any LockProvider

    /// The striped locks of a provider; nothing is acquired yet.
    /// - Parameters:
    ///   - prefix: what the names of the locks begin with; they continue with `/slots/number`.
    ///   - slots: how many locks there are, 1 to ``maximumSlots``; the same number in all processes.
    ///   - provider: where the locks are.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` for a number that makes no sense, and
    ///   ``LockError/Code/invalidName`` when the prefix leaves no room for the numbers.
    public init(_ prefix: LockName, slots: Int, on provider: any LockProvider) throws(LockError) {
        guard 1...Self.maximumSlots ~= slots else {
            throw LockError(
                .invalidConfiguration, "striped locks have 1 to \(Self.maximumSlots) slots, and not \(slots)")
        }
        (self.prefix, self.slots, self.provider) = (prefix, slots, provider)
        // The longest of the names.
        _ = try LockName("\(prefix.string)/\(slots)/\(slots - 1)")
    }

    /// The number of an entity's lock, from zero: the same in every process, on every machine and in every version.
    ///
    /// It is the 64-bit FNV-1a hash of the entity's UTF-8 bytes, its upper half folded into its lower one, modulo the number of
    /// slots: `((hash >> 32) ^ (hash & 0xFFFFFFFF)) % slots`.
    /// - Parameter entity: any text; compared byte by byte, as names of locks are.
    public func slot(of entity: some StringProtocol) -> Int {
        let hash = FNV1a.hash(entity.utf8)
        return Int((hash >> 32 ^ hash & 0xFFFF_FFFF) % UInt64(slots))
    }

    /// The name of an entity's lock: `orders/64/17`. For anything else that takes a name: `tryAcquire`, a fence gate,
    /// `mqlock show`.
    public func name(of entity: some StringProtocol) -> LockName {
        do throws(LockError) {
            return try LockName("\(prefix.string)/\(slots)/\(slot(of: entity))")
        } catch {
            preconditionFailure("a name that is no longer than the longest: \(error)")
        }
    }

    /// Runs `body` while holding the entity's lock, and cancels its task when the lock is lost.
    /// - Parameters:
    ///   - entity: any text.
    ///   - limit: how long to wait for the lock at most; `nil` waits until granted.
    ///   - body: what to do; it gets the lease, whose token grows from holder to holder of the slot, and so of the entity.
    /// - Returns: what the body returned.
    /// - Throws: as ``LockProvider/withLock(_:within:_:)-(LockName,_,_)``.
    public func withLock<R: Sendable>(
        _ entity: some StringProtocol, within limit: Duration? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        try await provider.withLock(name(of: entity), within: limit, body)
    }

    /// Runs `body` while holding the locks of several entities, and cancels its task when one of them is lost.
    ///
    /// Each lock is acquired once, however many of the entities are on it, and all in the order of ``MultiLock``.
    /// - Parameters:
    ///   - entities: any texts, in any order; at least one.
    ///   - limit: how long to wait for all of the locks together; `nil` waits until all are granted.
    ///   - body: what to do; it gets the leases, by the ``name(of:)`` of an entity.
    /// - Returns: what the body returned.
    /// - Throws: as ``MultiLock/withLock(within:_:)``.
    public func withLocks<R: Sendable>(
        _ entities: some Sequence<some StringProtocol>, within limit: Duration? = nil,
        _ body: @escaping @Sendable (MultiLease) async throws -> R
    ) async throws -> R {
        try await provider.withLocks(Set(entities.map { name(of: $0) }), within: limit, body)
    }
}

/// The 64-bit hash of Fowler, Noll and Vo, in the variant 1a. `Hasher` has a new seed in every process.
enum FNV1a {
    static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
    }
}
