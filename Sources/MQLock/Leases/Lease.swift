import Synchronization

/// The proof of holding: who holds what, with which fencing token, and whether that is still true.
///
/// A lease is a value: copy it, send it to other tasks, keep it. Copies share one validity; none of them can release
/// the lock. Hand ``fencingToken`` to every resource that the lock protects.
public struct Lease: Sendable, Identifiable {
    package let record: LeaseRecord

    package init(_ record: LeaseRecord) { self.record = record }

    /// What is locked.
    public var name: LockName { record.name }
    /// The number of this grant; it never changes.
    public var fencingToken: FencingToken { record.token }
    /// Distinguishes this grant from every other.
    public var id: LeaseID { record.id }
    /// Who holds it, as configured.
    public var owner: String { record.owner }

    /// Whether the lock is certainly still held.
    ///
    /// No I/O: a clock read and a compare. False from the instant at which the broker *could* have given the lock to
    /// someone else, even when nothing in this process has noticed yet. After a SIGSTOP or a pause of the machine it is
    /// false before the next statement runs. Once false it stays false.
    public var isValid: Bool { record.isValid }

    /// How long the lease stays valid if the broker is silent from now on; zero when it is not valid.
    public var remaining: Duration { record.remaining }

    /// Throws unless the lease is valid for at least `margin` more.
    ///
    /// Call it before every irreversible step, with the time that step takes.
    /// - Throws: ``LockError``: ``LockError/Code/lost`` when the lock was lost; ``LockError/Code/released`` when it was
    ///   released; ``LockError/Code/leaseTooShort`` when it is held and valid, but for less than `margin`: try again after
    ///   the next renewal.
    public func check(atLeast margin: Duration = .zero) throws(LockError) {
        try record.check(atLeast: margin)
    }

    /// What the holder says about its hold to everyone who asks who holds the lock; nil at first.
    public var info: String? { record.info }

    /// The longest ``info``, in bytes of UTF-8. A control character or a percent sign takes three.
    public static let maximumInfo = ControlText.maximumValue

    /// Says something about this hold, such as its progress: `mqlock show`, `list` and a ``LockInspector`` show it.
    ///
    /// It stays in this process until someone asks, so it costs nothing to change it often. All copies of the lease
    /// share it, and a lease of several locks says it for each. Nothing is decided by it. On Kafka nobody can ask, so
    /// it stays in this process.
    /// - Parameter info: nil removes it.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` when it is longer than ``maximumInfo``.
    public func setInfo(_ info: String?) throws(LockError) {
        guard info.map(Self.canSay) ?? true else {
            throw LockError(
                .invalidConfiguration,
                "what a holder says about its hold has at most \(Self.maximumInfo) bytes, and this is longer")
        }
        record.info = info
    }

    /// Whether a text is short enough to be an ``info``.
    package static func canSay(_ info: String) -> Bool { ControlText.fits(info) }

    /// The state now and every change after it; ends after `lost` or `released`.
    ///
    /// Any number of iterators may run; each begins with the state of that moment.
    public var states: LeaseStates { LeaseStates(record: record) }
}

/// Distinguishes one grant from every other, of this process and of others.
public struct LeaseID: Hashable, Sendable, CustomStringConvertible {
    private let value: RandomID

    /// Counted from a random start: random bits cost a call into the kernel, more than a local grant takes.
    package init() {
        let number = Self.count.wrappingAdd(1, ordering: .relaxed).newValue
        value = RandomID(high: Self.start.high, low: Self.start.low &+ number)
    }

    private static let start = RandomID()
    private static let count = Atomic<UInt64>(0)

    /// 32 hexadecimal digits.
    public var description: String { value.description }
}

/// Where a lease stands.
public enum LeaseState: Hashable, Sendable {
    /// The lock is held.
    case held
    /// Proof of life is overdue: the lock is still held, but start nothing new.
    case suspect
    /// The lock is no longer held.
    case lost(LossReason)
    /// The holder released the lock.
    case released

    /// Whether no other state can follow.
    package var isFinal: Bool {
        switch self {
        case .held, .suspect: false
        case .lost, .released: true
        }
    }
}

/// The states of a lease as an asynchronous sequence, the current one first.
public struct LeaseStates: AsyncSequence, Sendable {
    /// A state of the lease.
    public typealias Element = LeaseState
    /// The sequence does not throw.
    public typealias Failure = Never

    let record: LeaseRecord

    /// Begins with the state of this moment.
    public func makeAsyncIterator() -> Iterator { Iterator(base: record.subscribe().makeAsyncIterator()) }

    /// Delivers the states in order; ends after a final one, or when its task is cancelled.
    public struct Iterator: AsyncIteratorProtocol {
        var base: AsyncStream<LeaseState>.AsyncIterator

        /// The next state, or nil at the end.
        public mutating func next() async -> LeaseState? { await base.next() }

        /// The next state, or nil at the end.
        public mutating func next(isolation actor: isolated (any Actor)?) async -> LeaseState? {
            await base.next(isolation: actor)
        }
    }
}
