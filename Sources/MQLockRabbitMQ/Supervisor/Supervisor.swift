import MQLock

/// Keeps one session with the broker: connects, reconnects, puts waiters back in line, drains and shuts down. All of a
/// session runs on its loop; other threads access it through this actor.
actor Supervisor {
    let loop: EventLoop
    let settings: SessionSettings
    private let relay: ObserverRelay
    let locks: Locks
    nonisolated let tenures = Tenures()
    private let timers: Timers<Timer>
    let verifications: Verifications
    let marks: MarkRequests
    nonisolated let health = SessionHealth()
    private(set) var machine = SupervisorMachine()
    /// The first host is tried first.
    private var endpoint: Endpoint
    private let memory: ProviderMemory
    /// Whether the provider has an earlier session: then it needs this one only for what the others have no room for.
    private let isFurther: Bool
    /// How many channels the broker admits, if it ended the last session for one channel too many.
    private var channelLimit: Int?
    /// The attempt under way.
    private var attempt: ConnectionAttempt?
    /// Opening or up.
    private(set) var session: Session?
    private(set) var isStanding = false
    private var standingSince: ContinuousClock.Instant?
    private(set) var wasConnected = false
    private var lastFailure: ConnectionFailure?
    var lastAttempt: UInt64 = 0
    private var stopWaiters: [CheckedContinuation<Void, Never>] = []
    /// The callers in `run`, which get an error if the broker refuses the login.
    private var servants: [UInt64: CheckedContinuation<LockError?, Never>] = [:]

    private enum Timer { case reconnect, drain }

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(
        settings: SessionSettings, relay: ObserverRelay, memory: ProviderMemory, isFurther: Bool = false
    ) throws(LockError) {
        do throws(ConnectionFailure) { loop = try EventLoop(name: "mqlock") } catch { throw LockError(error) }
        self.settings = settings
        self.relay = relay
        self.memory = memory
        self.isFurther = isFurther
        // A further session starts at the host of the others.
        endpoint = memory.cluster.map { settings.endpoint.beginning(at: $0.host) } ?? settings.endpoint
        locks = Locks(settings: settings, loop: loop, relay: relay, tenures: tenures, memory: memory)
        timers = Timers(loop)
        verifications = Verifications(settings, on: loop)
        marks = MarkRequests(settings, on: loop)
    }

    deinit { loop.stop() }

    // MARK: Contenders

    /// Limits the wait for a session that is not up yet.
    func awaitSession(_ lock: BrokerLock) {
        guard !isStanding, let contender = lock.contender else { return }
        let startup = wasConnected ? nil : settings.startupTimeout.map { contender.start.after($0) }
        let patience = contender.waits ? nil : contender.start.after(settings.patience)
        let limit = [contender.deadline, startup, patience].compactMap(\.self).min()
        let name = lock.name
        lock.awaitSession(until: limit) { [weak self] in self?.assumeIsolated { $0.giveUp(name) } }
    }

    private func giveUp(_ name: LockName) {
        guard let lock = locks.byName[name] else { return }
        lock.turnAway(overdue(name, waits: lock.contender?.waits ?? true))
    }

    /// The error of a wait that ended before there was a session.
    private func overdue(_ name: LockName, waits: Bool) -> LockError {
        guard waits, wasConnected else { return unreachable }
        let cause = lastFailure.map { " and could not be made anew: \($0.message.escapedForDisplay)" }
        return .timedOut(name, detail: "the connection was lost\(cause ?? "")")
    }

    var unreachable: LockError {
        let cause = lastFailure?.message.escapedForDisplay
        return LockError(
            .unreachable,
            "no session with the broker at \(settings.endpoint.address) came up: \(cause ?? "it has not answered yet")",
            underlying: lastFailure)
    }

    /// A try waits for one connection attempt, not for a broker that is down.
    private func endTries() {
        for lock in locks.byName.values where lock.contender?.waits == false { lock.turnAway(unreachable) }
    }

    // MARK: Life

    /// Keeps a session until the shutdown. Returns the reason if the broker refuses the first login.
    func serve() async -> LockError? {
        guard machine.state != .stopped else { return nil }
        lastAttempt += 1
        return await withCheckedContinuation { continuation in
            servants[lastAttempt] = continuation
            feed(.wanted)
        }
    }

    private func dismiss(_ error: LockError?) {
        let servants = servants.values
        self.servants = [:]
        for servant in servants { servant.resume(returning: error) }
    }

    /// Refuses new contenders, turns waiting ones away, waits for holders up to `limit`, and closes. Returns when done.
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

    func feed(_ event: SupervisorMachine.Event) {
        for action in machine.handle(event) { perform(action) }
    }

    private func perform(_ action: SupervisorMachine.Action) {
        switch action {
        case .connect: connect()
        case .wait(let attempt):
            let delay = settings.backoff.delay(before: attempt)
            timers.start(.reconnect, after: delay) { [weak self] in self?.assumeIsolated { $0.feed(.waitOver) } }
        case .cancelWait: timers.stop(.reconnect)
        case .cancelAttempt: cancelAttempt()
        case .announceSession: announce()
        case .failContenders: refuse(refusal(lastFailure ?? ConnectionFailure(.unreachable(endpoint.address))))
        case .turnContendersAway:
            locks.turnAway(.shutDown)
            verifications.endAll(.shutDown)
            marks.endReading(.shutDown)
        case .drain: drain()
        case .closeSession: closeSession()
        case .stopped:
            timers.stopAll()
            locks.removeAll()
            marks.endAll(.shutDown)
            dismiss(nil)
            relay.send(LockEvent(.stopped, at: .now, owner: settings.owner))
            for waiter in stopWaiters { waiter.resume() }
            stopWaiters = []
        }
    }

    private func connect() {
        relay.send(LockEvent(.connecting, at: .now, owner: settings.owner, detail: settings.endpoint.description))
        let attempt: ConnectionAttempt
        do throws(ConnectionFailure) {
            attempt = try ConnectionAttempt(lookUp: settings.lookUp)
        } catch {
            return failed(error)
        }
        self.attempt = attempt
        let identity = Nonce()
        let isBegun = loop.offload { [settings, endpoint, cluster = memory.cluster] in
            Result { () throws(ConnectionFailure) in
                try Session.open(settings, endpoint, identity, attempt, in: cluster)
            }
        } then: { result in
            self.opened(result, identity, by: attempt)
        }
        if !isBegun { failed(.outOfThreads) }
    }

    private func cancelAttempt() {
        attempt?.cancel()
        attempt = nil
        session?.close()
        session = nil
    }

    private func opened(
        _ result: Result<AMQPConnection, ConnectionFailure>, _ identity: Nonce, by attempt: ConnectionAttempt
    ) {
        guard self.attempt === attempt else {
            // It is no longer needed.
            if case .success(let connection) = result {
                connection.moveToThisThread()
                connection.close()
            }
            return
        }
        self.attempt = nil
        switch result {
        case .success(let connection):
            let session = Session(connection, identity, locks, channelLimit: channelLimit) { [weak self] event in
                self?.assumeIsolated { $0.handle(event) }
            }
            self.session = session
            session.start()
        case .failure(let failure): failed(failure)
        }
    }

    private func failed(_ failure: ConnectionFailure) {
        (session, attempt, lastFailure) = (nil, nil, failure)
        health.ended(LockError(failure))
        relay.send(LockEvent(.connectionFailed, at: .now, owner: settings.owner, detail: failure.message))
        feed(failure.isPermanent || isRefused(failure) ? .failedForGood : .failedForNow)
        endTries()
    }

    /// Whether the broker admits no further session. One that has been up tries again: its waiters stay in line.
    private func isRefused(_ failure: ConnectionFailure) -> Bool {
        if case .limitReached = failure.kind { isFurther && !wasConnected } else { false }
    }

    private func refusal(_ failure: ConnectionFailure) -> LockError {
        guard isRefused(failure) else { return LockError(failure) }
        return LockError(
            .limitExceeded,
            """
            all channels that the broker allows on a connection are taken by locks that are held or waited for, and it \
            admits no further session: \(failure.message.escapedForDisplay), or fewer names (StripedLocks)
            """)
    }

    /// Another attempt would fail as well, until a person changes something.
    private func refuse(_ error: LockError) {
        locks.turnAway(error)
        verifications.endAll(error)
        marks.endAll(error)
        guard !servants.isEmpty else { return }
        guard wasConnected else { return dismiss(error) }
        // The login worked before, and a running service has to recover when it works again.
        timers.start(.reconnect, after: settings.backoff.longest) { [weak self] in
            self?.assumeIsolated { $0.feed(.wanted) }
        }
    }

    private func handle(_ event: Session.Event) {
        switch event {
        case .ready: feed(.connected)
        case .suspect(let suspect): locks.setSuspect(suspect)
        case .proven(let roundTrip):
            relay.send(
                LockEvent(
                    .renewed, at: .now, owner: settings.owner, roundTrip: roundTrip, proven: session?.proof.remaining))
        case .ended(let end):
            learn(from: end)
            switch end {
            case _ where isStanding: ended(end)
            case .failed(let failure): failed(failure)
            case .proofOverdue, .shutdown:
                failed(
                    ConnectionFailure(
                        .timedOut("the broker at \(settings.endpoint.address) accepts logins but does not answer")))
            }
        }
    }

    /// For one channel too many the broker ends the connection, and with it every lock. So the next session opens
    /// fewer, and leaves one for publishing.
    private func learn(from end: SessionEnd) {
        if case .failed(let failure) = end, case .limitReached = failure.kind, let session {
            channelLimit = max(1, session.link.openedByBroker - 1)
        } else {
            channelLimit = nil
        }
    }

    private func announce() {
        guard let session else { return }
        (isStanding, wasConnected, lastFailure) = (true, true, nil)
        standingSince = .now
        endpoint = settings.endpoint.beginning(at: session.host)
        if let cluster = session.cluster { memory.cluster = cluster }
        health.stands(session.proof)
        let place = endpoint.at(session.host)
        relay.send(LockEvent(.connected, at: .now, owner: settings.owner, detail: place.description))
        if let exposure = settings.endpoint.exposure {
            relay.send(LockEvent(.warning, at: .now, owner: settings.owner, detail: exposure))
        }
        do throws(LockError) {
            try session.behavior.check()
            locks.begin(session)
            verifications.begin(session)
            marks.begin(session)
        } catch {
            locks.turnAway(error)
            verifications.endAll(error)
            marks.endAll(error)
        }
    }

    private func ended(_ end: SessionEnd) {
        guard let session else { return }
        endSession(session, end)
        if case .failed(let failure) = end { lastFailure = failure }
        health.ended(LockError(.unreachable, "the session with the broker ended: \(end.lossReason)"))
        // Another node, if there is one, is more likely to answer.
        endpoint = endpoint.beginning(after: session.host)
        relay.send(LockEvent(.disconnected, at: .now, owner: settings.owner, reason: end.lossReason))
        let hasLasted = standingSince.map { $0.duration(to: .now) >= settings.backoff.longest } ?? false
        feed(hasLasted ? .sessionEnded : .sessionEndedSoon)
        for lock in locks.byName.values { awaitSession(lock) }
    }

    private func endSession(_ session: Session, _ end: SessionEnd) {
        self.session = nil
        isStanding = false
        verifications.endSession()
        marks.endSession()
        locks.end(session, end.lossReason)
    }

    private func closeSession() {
        guard let session else { return }
        endSession(session, .shutdown)
        health.ended(.shutDown)
        session.close()
    }

    /// Waits until nothing is held: released at the broker, or lost.
    private func drain() {
        locks.whenReleased { [weak self] in self?.assumeIsolated { $0.feed(.drained) } }
    }
}
