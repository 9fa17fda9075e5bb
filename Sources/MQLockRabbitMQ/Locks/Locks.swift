import MQLock

/// The locks that one provider holds or contends for, and what they share; on its loop. They outlive sessions.
final class Locks {
    private(set) var settings: SessionSettings
    let loop: EventLoop
    let relay: ObserverRelay
    let tenures: Tenures
    let memory: ProviderMemory
    private(set) var byName: [LockName: BrokerLock] = [:]
    /// Names in their first contact.
    private var contacting: Set<LockName> = []
    private var parked: ArraySlice<BrokerLock> = []
    private var isAdmitting = false
    private var whenReleased: (() -> Void)?
    /// From how many names on quiet ones are looked for: not at each new name, because that takes long with many.
    private var crowd = Locks.maximumQuiet
    private var freedAt: ContinuousClock.Instant?

    init(
        settings: SessionSettings, loop: EventLoop, relay: ObserverRelay, tenures: Tenures, memory: ProviderMemory
    ) {
        self.settings = settings
        self.tenures = tenures
        self.memory = memory
        self.loop = loop
        self.relay = relay
    }

    /// How many quiet names are remembered, so their next acquire costs one round trip.
    private static let maximumQuiet = 256
    /// How many names are prepared at once. The broker creates quorum queues one after the other; with a thousand at
    /// once, the last answers would come after their deadline.
    private static let maximumContacts = 64

    /// The lock of this name.
    /// - Parameter session: the current session, for a lock that is new here.
    func lock(_ name: LockName, _ session: Session?) throws(LockError) -> BrokerLock {
        if let lock = byName[name] { return lock }
        if byName.count >= crowd { evict(keeping: Self.maximumQuiet / 2) }
        let objects = try ObjectNames(name, vhost: settings.endpoint.vhost)
        let lock: BrokerLock =
            switch settings.mutex {
            case .token: TokenLock(name, objects, self)
            case .exclusiveQueue: ExclusiveLock(name, objects, self)
            default: LineLock(name, objects, self)
            }
        if let session { lock.begin(session) }
        byName[name] = lock
        return lock
    }

    /// Forgets quiet names, with their channels.
    private func evict(keeping rest: Int) {
        for lock in byName.values.filter(\.isQuiet).dropFirst(rest) {
            lock.forget()
            byName[lock.name] = nil
        }
        crowd = max(Self.maximumQuiet, byName.count + Self.maximumQuiet / 2)
    }

    /// Closes channels that are not needed: kept locks go back, too. Asked again and again it looks at times only, so a
    /// crowd of contenders without a channel does not keep the loop from its proof of life.
    func freeChannels() {
        let now = ContinuousClock.now
        if let freedAt, freedAt.after(.milliseconds(10)) > now { return }
        freedAt = now
        endStays()
        evict(keeping: 0)
    }

    private func endStays() {
        for lock in byName.values { lock.endStay() }
    }

    /// Forgets everything: nobody holds or waits any longer.
    func removeAll() {
        byName = [:]
        (contacting, parked) = ([], [])
    }

    /// The broker's consumer timeout is shorter than configured: the broker has just closed a channel because of it.
    /// - Returns: what to do about it.
    func learn(consumerTimeout: Duration) -> String {
        let milliseconds = consumerTimeout.nanoseconds / 1_000_000
        let known = settings.acknowledgementTimeout.readable
        let what = "the broker's consumer_timeout is \(consumerTimeout.readable), and \(known) were expected"
        guard settings.learn(consumerTimeout: consumerTimeout) else {
            return "\(what): too short to hold a lock at this heartbeat; raise it on the broker"
        }
        return "\(what): say so in the broker URI, consumer_timeout=\(milliseconds), or raise it on the broker"
    }

    // MARK: First contacts

    /// Whether a name may make first contact now; otherwise it waits for its turn.
    func admit(_ lock: BrokerLock) -> Bool {
        guard contacting.count < Self.maximumContacts else {
            parked.append(lock)
            return false
        }
        contacting.insert(lock.name)
        return true
    }

    func contactEnded(_ lock: BrokerLock) {
        // Whoever is admitted may be done at once.
        guard contacting.remove(lock.name) != nil, !isAdmitting else { return }
        isAdmitting = true
        defer { isAdmitting = false }
        while contacting.count < Self.maximumContacts, let next = parked.popFirst() {
            contacting.insert(next.name)
            if !next.unpark() { contacting.remove(next.name) }
        }
    }

    // MARK: Sessions

    func begin(_ session: Session) {
        for lock in byName.values { lock.begin(session) }
    }

    func setSuspect(_ suspect: Bool) {
        for lock in byName.values { lock.setSuspect(suspect) }
    }

    /// All leases are lost before any waiter goes back in line: holders are notified before anything else happens.
    func end(_ session: Session, _ reason: LossReason) {
        (contacting, parked) = ([], [])
        // The end of the session is the end of draining.
        whenReleased = nil
        for lock in byName.values { lock.lose(reason) }
        for lock in byName.values { lock.endSession() }
    }

    /// Ends every wait.
    func turnAway(_ error: LockError) {
        for lock in byName.values { lock.turnAway(error) }
    }

    // MARK: Draining

    /// Runs `body` when nothing is held here or being released at the broker; at once if that is already so.
    func whenReleased(_ body: @escaping () -> Void) {
        endStays()
        whenReleased = body
        holdEnded()
    }

    /// A hold has ended, or the broker has confirmed its release.
    func holdEnded() {
        guard let body = whenReleased, !byName.values.contains(where: \.isHeldOrReleasing) else { return }
        whenReleased = nil
        body()
    }
}

extension LockError {
    static var shutDown: LockError { LockError(.shutDown, "this lock provider was shut down") }
}
