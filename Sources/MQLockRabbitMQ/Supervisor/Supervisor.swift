import MQLock

/// Keeps one session with the broker: connects, reconnects, puts waiters back in line, drains and shuts down. Everything of
/// a provider lives on its loop; this is the actor through which others reach it.
actor Supervisor {
    private let loop: EventLoop
    private let settings: SessionSettings
    private let relay: ObserverRelay
    private let locks: Locks
    private let timers: Timers<Timer>
    private var machine = SupervisorMachine()
    /// Opening, or standing.
    private var session: Session?
    private var isStanding = false
    private var wasConnected = false
    private var lastFailure: ConnectionFailure?
    private var lastAttempt: UInt64 = 0
    private var stopWaiters: [CheckedContinuation<Void, Never>] = []

    private enum Timer { case reconnect, drain }

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(settings: SessionSettings, relay: ObserverRelay) throws(LockError) {
        do throws(ConnectionFailure) { loop = try EventLoop(name: "mqlock") } catch { throw LockError(error) }
        self.settings = settings
        self.relay = relay
        locks = Locks(settings: settings, loop: loop, relay: relay)
        timers = Timers(loop)
    }

    deinit { loop.stop() }

    // MARK: Contenders

    /// Waits for the lock; nil for a try that somebody else's hold has answered.
    func acquire(
        _ name: LockName, waits: Bool, deadline: ContinuousClock.Instant?
    ) async throws(LockError) -> LeaseRecord? {
        guard machine.accepts else { throw .shutDown }
        if isStanding { try session?.behavior.check() }
        let lock = try locks.lock(name, isStanding ? session : nil)
        lastAttempt += 1
        let attempt = lastAttempt
        let result: Result<LeaseRecord?, LockError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled else { return continuation.resume(returning: .failure(.cancelled(name))) }
                lock.acquire(
                    Contender(attempt: attempt, waits: waits, start: .now, deadline: deadline) {
                        continuation.resume(returning: $0)
                    })
                awaitSession(lock)
                feed(.wanted)
            }
        } onCancel: {
            Task { await self.cancel(name, attempt) }
        }
        return try result.get()
    }

    private func cancel(_ name: LockName, _ attempt: UInt64) { locks.byName[name]?.cancel(attempt) }

    /// Gives a grant back; does nothing when it is no longer held here.
    func release(_ record: LeaseRecord) { locks.byName[record.name]?.release(record) }

    /// Limits the wait for a session that is yet to come up.
    private func awaitSession(_ lock: BrokerLock) {
        guard !isStanding, let contender = lock.contender else { return }
        let startup = wasConnected ? nil : settings.startupTimeout.map { contender.start.after($0) }
        let patience = contender.waits ? nil : contender.start.after(settings.patience)
        let limit = [contender.deadline, startup, patience].compactMap(\.self).min()
        let name = lock.name
        lock.awaitSession(until: limit) { [weak self] in self?.assumeIsolated { $0.giveUp(name) } }
    }

    private func giveUp(_ name: LockName) { locks.byName[name]?.turnAway(overdue(name)) }

    /// The error of a wait that ended before there was a session.
    private func overdue(_ name: LockName) -> LockError {
        let cause = lastFailure?.message.escapedForDisplay
        guard !wasConnected else {
            return .timedOut(
                name, detail: "the connection was lost" + (cause.map { " and could not be made anew: \($0)" } ?? ""))
        }
        return LockError(
            .unreachable,
            "no session with the broker at \(settings.endpoint.address) came up: \(cause ?? "it has not answered yet")",
            underlying: lastFailure)
    }

    // MARK: Life

    /// Begins to connect, if nobody has yet.
    func start() { feed(.wanted) }

    /// Refuses new contenders, turns away the waiting, waits for holders up to `limit`, closes. Returns when done.
    func shutdown(within limit: Duration) async {
        guard machine.state != .stopped else { return }
        feed(.shutdown)
        guard machine.state != .stopped else { return }
        timers.start(.drain, after: limit) { [weak self] in self?.assumeIsolated { $0.feed(.drained) } }
        await stopped()
    }

    /// Returns when the supervisor has stopped.
    func stopped() async {
        guard machine.state != .stopped else { return }
        await withCheckedContinuation { stopWaiters.append($0) }
    }

    // MARK: The machine

    private func feed(_ event: SupervisorMachine.Event) {
        for action in machine.handle(event) { perform(action) }
    }

    private func perform(_ action: SupervisorMachine.Action) {
        switch action {
        case .connect: connect()
        case .wait(let attempt):
            let delay = settings.backoff.delay(before: attempt)
            timers.start(.reconnect, after: delay) { [weak self] in self?.assumeIsolated { $0.feed(.waitOver) } }
        case .cancelWait: timers.stop(.reconnect)
        case .announceSession: announce()
        case .failContenders:
            locks.turnAway(LockError(lastFailure ?? ConnectionFailure(.unreachable(settings.endpoint.address))))
        case .turnContendersAway: locks.turnAway(.shutDown)
        case .drain: drain()
        case .closeSession: closeSession()
        case .stopped:
            timers.stopAll()
            locks.removeAll()
            relay.send(LockEvent(.stopped, at: .now, owner: settings.owner))
            for waiter in stopWaiters { waiter.resume() }
            stopWaiters = []
        }
    }

    private func connect() {
        relay.send(LockEvent(.connecting, at: .now, owner: settings.owner, detail: settings.endpoint.description))
        let identity = Nonce()
        loop.offload { [settings] in
            Result { () throws(ConnectionFailure) in try Session.open(settings, identity) }
        } then: { result in
            self.opened(result, identity)
        }
    }

    private func opened(_ result: Result<AMQPConnection, ConnectionFailure>, _ identity: Nonce) {
        switch result {
        case .success(let connection):
            let session = Session(connection, identity, locks) { [weak self] event in
                self?.assumeIsolated { $0.handle(event) }
            }
            self.session = session
            session.start()
        case .failure(let failure): failed(failure)
        }
    }

    private func failed(_ failure: ConnectionFailure) {
        session = nil
        lastFailure = failure
        relay.send(LockEvent(.connectionFailed, at: .now, owner: settings.owner, detail: failure.message))
        feed(failure.isPermanent ? .failedForGood : .failedForNow)
    }

    private func handle(_ event: Session.Event) {
        switch event {
        case .ready: feed(.connected)
        case .suspect(let suspect): locks.setSuspect(suspect)
        case .proven(let roundTrip):
            relay.send(
                LockEvent(
                    .renewed, at: .now, owner: settings.owner, roundTrip: roundTrip, proven: session?.proof.remaining))
        case .ended(let end) where isStanding: ended(end)
        case .ended(.failed(let failure)): failed(failure)
        case .ended:
            failed(
                ConnectionFailure(
                    .timedOut("the broker at \(settings.endpoint.address) accepts logins but does not answer")))
        }
    }

    private func announce() {
        guard let session else { return }
        (isStanding, wasConnected, lastFailure) = (true, true, nil)
        relay.send(LockEvent(.connected, at: .now, owner: settings.owner, detail: settings.endpoint.description))
        if let exposure = settings.endpoint.exposure {
            relay.send(LockEvent(.warning, at: .now, owner: settings.owner, detail: exposure))
        }
        do throws(LockError) {
            try session.behavior.check()
            locks.begin(session)
        } catch {
            locks.turnAway(error)
        }
    }

    private func ended(_ end: SessionEnd) {
        guard let session else { return }
        endSession(session, end)
        if case .failed(let failure) = end { lastFailure = failure }
        relay.send(LockEvent(.disconnected, at: .now, owner: settings.owner, reason: end.lossReason))
        feed(.sessionEnded)
        for lock in locks.byName.values { awaitSession(lock) }
    }

    private func endSession(_ session: Session, _ end: SessionEnd) {
        self.session = nil
        isStanding = false
        locks.end(session, end.lossReason)
    }

    private func closeSession() {
        guard let session else { return }
        endSession(session, .shutdown)
        session.close()
    }

    /// Waits until nothing is held: released at the broker, or lost.
    private func drain() {
        locks.whenReleased { [weak self] in self?.assumeIsolated { $0.feed(.drained) } }
    }
}
