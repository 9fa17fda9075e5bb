/// One lock over several brokers that know nothing of each other: the contender that holds it on a majority of them
/// holds it.
///
/// ```swift
/// let brokers = try ["amqp://a", "amqp://b", "amqp://c"].map { try RabbitMQLocks(.init(uri: $0)) }
/// let locks = try BrokerQuorum(brokers)
/// try await locks.withLock("ledger", within: .seconds(10)) { lease in
///     try await write(entry, fence: lease.fencingToken)
/// }
/// ```
///
/// It keeps working while fewer than half of the brokers are down, and one that restarts without its data does no harm.
/// Before a grant, the number of the lock is raised on a majority of the brokers, so the fencing tokens grow over any
/// sequence of majorities. Each session counts once it has stood for as long as a lease could outlive a broker's
/// memory, so **a program's first lock takes that long** (``settling``).
///
/// It is rarely what you need: the nodes of one cluster are a majority already. <doc:BrokerQuorums> says when to use
/// it, and has the proof and the limits.
///
/// All programs have to use the same brokers, in the same order. Keep each broker's provider running (`run()` of
/// RabbitMQLocks) or call it once: the members are connected to at the first use.
public final class BrokerQuorum: LockProvider {
    /// The brokers, in the order in which they are asked.
    public let members: [any RaisingLocks]
    /// How many of them have to grant a lock.
    public let majority: Int
    /// What all of the members can do and promise. Contenders are served in the order in which they came as long as all
    /// of them reach the first member, so first come, first served is not promised.
    public let capabilities: LockCapabilities
    /// The members' clock.
    public let clock: any LockClock
    /// How long a session has to stand before what it grants counts: the longest time for which a lease of any program
    /// can look valid after its broker has forgotten it.
    public let settling: Duration

    private let front: LockFront

    /// How many members there can be.
    static let sizes = 3...15

    /// The locks of these brokers as one; no I/O happens before the first use.
    /// - Parameters:
    ///   - members: three or more, each on a different broker; an odd number, because a fourth helps no more than a
    ///     third. The same ones in the same order in all programs.
    ///   - owner: who contends, for events.
    ///   - patience: how long a member may leave a request unanswered before the others continue without it; ten times
    ///     as long when none of them knows whether it lives. It delays grants by no more than this for each member.
    ///   - settling: see ``settling``; by default the longest ``RaisingLocks/proofLength`` of the members, which is
    ///     right if all programs use the same settings. With zero, two leases can look valid for moments after a member
    ///     has restarted.
    ///   - maximumWaiters: how many contenders of this process may wait behind those at the brokers.
    ///   - observer: receives the events of the locks as wholes. The members' observers receive those of the parts.
    /// - Throws: ``LockError`` with code ``LockError/Code/invalidConfiguration`` for fewer than three members, for one whose
    ///   numbers cannot be raised, and for durations that make no sense.
    public init(
        _ members: [any RaisingLocks], owner: String = "quorum", patience: Duration = .seconds(1),
        settling: Duration? = nil, maximumWaiters: Int = 1000, observer: (any LockObserver)? = nil
    ) throws(LockError) {
        guard Self.sizes ~= members.count else {
            throw LockError(
                .invalidConfiguration,
                """
                a quorum has \(Self.sizes.lowerBound) to \(Self.sizes.upperBound) brokers, and not \(members.count): with \
                fewer than three, none may fail
                """)
        }
        for member in members { try member.checkRaising() }
        try patience.require(.positive, "the patience of a quorum")
        try settling?.require(.notNegative, "the settling of a quorum")
        self.members = members
        majority = members.count / 2 + 1
        clock = members[0].clock
        self.settling = (settling ?? members.map(\.proofLength).max() ?? .zero).bounded
        let all = members.map(\.capabilities)
        capabilities = LockCapabilities(
            mutex: "quorum of \(members.count)", waitsAcrossProcesses: all.allSatisfy(\.waitsAcrossProcesses),
            maximumHold: all.compactMap(\.maximumHold).min(), firstComeFirstServed: false,
            tokensSurviveBrokerCrash: all.allSatisfy(\.tokensSurviveBrokerCrash))
        let relay = ObserverRelay(observer)
        let contender = QuorumContender(
            members, needed: majority, patience: patience.bounded, settling: self.settling, relay: relay)
        front = LockFront(
            contender: contender, owner: owner, relay: relay, clock: clock, maximumWaiters: maximumWaiters)
    }

    /// Waits for the lock on a majority of the brokers and acquires it.
    ///
    /// Contenders of one process are served in the order in which they came. Those of several processes stand in line
    /// at the first broker that answers, and are served in that order while they agree on which broker that is. While
    /// no majority answers, the wait continues, with tries at growing random intervals of up to twice the patience.
    /// - Parameters:
    ///   - name: what to lock; on the members it is `NAME/quorum/3`, with the number of members.
    ///   - limit: how long to wait at most; `nil` waits until granted.
    /// - Throws: ``LockError`` as ``LockProvider/acquire(_:within:)``. When too many members refuse (`accessRefused`,
    ///   `incompatible`, `shutDown`…), the error of the first of them. Then nothing is held; a member that does not
    ///   answer is released when it does.
    public func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await front.acquire(name, within: limit)
    }

    /// Acquires the lock if it is free on a majority of the brokers, and waits for no holder.
    ///
    /// - Returns: `nil` when others hold too many of the members, for example when two try at once.
    /// - Throws: ``LockError`` with code ``LockError/Code/unreachable`` when too few members answer within the patience, and
    ///   while too few of the sessions have settled; and as ``acquire(_:within:)``.
    public func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        try await front.tryAcquire(name)
    }
}
