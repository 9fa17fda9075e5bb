public import MQLock

/// Locks on an ``InMemoryBroker``: one client with one session, as one process would have.
///
/// It connects at its first use and again whenever the session was lost. While the network is held or the client is
/// paused, everything that needs the broker waits, a release too, until the fault ends or the clock is moved far enough
/// for the session to end.
public final class InMemoryLocks: LockProvider {
    /// What this provider can do and promise.
    public let capabilities = LockCapabilities(mutex: "in-memory")

    /// The clock of the broker and of all its clients.
    public var clock: any LockClock { endpoint.world.clock }

    let endpoint: InMemoryEndpoint
    private let front: LockFront

    /// Makes a client of `broker`.
    /// - Parameters:
    ///   - broker: the other side; its clock counts.
    ///   - owner: who contends, for events and leases.
    ///   - kind: what kind of object the names are on the broker; programs with different ones refuse each other.
    ///   - observer: receives every event.
    ///   - maximumWaiters: how many contenders may wait behind those at the broker.
    public init(
        _ broker: InMemoryBroker, owner: String = "in-memory", kind: String = "in-memory",
        observer: (any LockObserver)? = nil, maximumWaiters: Int = 100_000
    ) {
        let relay = ObserverRelay(observer)
        endpoint = InMemoryEndpoint(broker.world, owner: owner, kind: kind, relay: relay)
        front = LockFront(
            contender: endpoint, owner: owner, relay: relay, clock: broker.clock,
            maximumWaiters: broker.world.mutation.contains(.waitersUnbounded) ? .max : maximumWaiters)
    }

    /// Waits for the lock and acquires it.
    /// - Throws: `LockError`: `timedOut`, `cancelled`, `incompatible`, `limitExceeded`, `shutDown`. Cancelling
    ///   leaves nothing held.
    public func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        try await front.acquire(name, within: limit)
    }

    /// Acquires the lock if it is free.
    /// - Throws: `LockError`: `unreachable` when the session ends before the broker has answered, and as
    ///   ``acquire(_:within:)``.
    public func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        try await front.tryAcquire(name)
    }

    /// Ends the session for good: leases are lost with reason `shutdown`, waiters get the error `shutDown`.
    public func shutdown() {
        endpoint.post { client, now in client.handle(.stop, at: now) }
    }
}

/// The client's place in the world; leaves it when no one holds or uses it any more.
final class InMemoryEndpoint: BrokerContender {
    let world: World
    let id: Int
    /// Milliseconds by which the machine's time of day is ahead.
    let ahead = Locked<Int64>(0)

    init(_ world: World, owner: String, kind: String, relay: ObserverRelay) {
        self.world = world
        id = world.post { state, _ in
            state.lastClient += 1
            let id = state.lastClient
            let pure = ClientState(client: id, timing: world.timing, kind: kind, mutation: world.mutation)
            state.clients[id] = Client(state: pure, owner: owner, relay: relay, clock: world.clock)
            return id
        }
    }

    deinit {
        world.post { [id] state, _ in
            guard let client = state.clients.removeValue(forKey: id) else { return }
            if let session = client.state.sessionID { state.route(state.broker.drop(session)) }
        }
    }

    func post(_ body: (inout Client, ContinuousClock.Instant) -> Void) {
        world.post { state, now in
            // In place: otherwise every event would copy a client with a thousand contenders.
            guard state.clients[id] != nil else { return }
            body(&state.clients[id]!, now)
        }
    }

    func acquire(_ name: LockName, until deadline: ContinuousClock.Instant?) async throws(LockError) -> LeaseRecord {
        guard let record = try await ask(name, once: false, deadline: deadline) else {
            throw LockError(.internalError, "the in-memory broker refused a contender that waits for \(name)")
        }
        return record
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> LeaseRecord? {
        try await ask(name, once: true, deadline: nil)
    }

    private func ask(
        _ name: LockName, once: Bool, deadline: ContinuousClock.Instant?
    ) async throws(LockError) -> LeaseRecord? {
        let contender = world.post { state, _ in
            state.lastContender += 1
            return ContenderID(number: state.lastContender)
        }
        let giveUp: @Sendable (LockError) -> Void = { [self] error in
            post { client, now in client.handle(.giveUp(contender, error), at: now) }
        }
        let alarm = deadline.map { deadline in
            Alarm(at: deadline, on: world.clock) { giveUp(.timedOut(name)) }
        }
        defer { alarm?.cancel() }
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { (caller: Client.Caller) in
                post { client, now in
                    client.start(contender, name, once: once, at: now, caller)
                    // A handler or an alarm that ran before this found no contender; both take the world's lock.
                    if Task.isCancelled { client.handle(.giveUp(contender, .cancelled(name)), at: now) }
                    if let deadline, deadline <= now {
                        client.handle(.giveUp(contender, .timedOut(name)), at: now)
                    }
                }
            }
        } onCancel: {
            giveUp(.cancelled(name))
        }
        return try outcome.get()
    }

    func release(_ record: LeaseRecord, _ ending: HoldEnding) async {
        switch ending {
        case .lost:
            post { client, now in
                client.forget(record.id)
                if world.mutation.contains(.releaseTouchesSuccessor) {
                    client.handle(.releaseAnyone(record.name), at: now)
                }
            }
        case .dropped where world.mutation.contains(.dropNotReleased): break
        case .released, .dropped:
            await withCheckedContinuation { done in
                post { client, now in client.giveBack(record.id, at: now, done) }
            }
        }
    }
}
