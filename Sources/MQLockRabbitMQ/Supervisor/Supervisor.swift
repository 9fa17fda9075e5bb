import MQLock

/// Keeps one session with the broker: connects, reconnects, hands it to contenders, shuts down.
actor Supervisor {
    private let settings: SessionSettings
    private let backoff: RabbitMQLocks.Backoff
    private let startupTimeout: Duration?
    private let largest = LargestTokens()
    private let relay: ObserverRelay
    private var machine = SupervisorMachine()
    private var session: Session?
    private var lastFailure: ConnectionFailure?
    private var wasConnected = false
    private var waiting: Task<Void, Never>?
    private var contenders: [UInt64: CheckedContinuation<Result<Session, LockError>, Never>] = [:]
    private var lastContender: UInt64 = 0
    private var stopWaiters: [CheckedContinuation<Void, Never>] = []
    /// The session that stands, for those who want it without a hop.
    private nonisolated let current = Locked<Session?>(nil)

    init(settings: SessionSettings, configuration: RabbitMQLocks.Configuration, relay: ObserverRelay) {
        self.settings = settings
        backoff = configuration.backoff
        startupTimeout = configuration.startupTimeout
        self.relay = relay
    }

    // MARK: Contenders

    /// The session that stands, or the next one.
    nonisolated func session(
        for name: LockName, until deadline: ContinuousClock.Instant?
    ) async throws(LockError) -> Session {
        if let session = current.withLock({ $0 }) { return session }
        return try await nextSession(for: name, until: deadline)
    }

    private func nextSession(
        for name: LockName, until deadline: ContinuousClock.Instant?
    ) async throws(LockError) -> Session {
        if let session = current.withLock({ $0 }) { return session }
        guard machine.state != .stopped, machine.state != .stopping, machine.state != .draining else { throw .shutDown }
        lastContender += 1
        let number = lastContender
        let startup = wasConnected ? nil : startupTimeout.map { ContinuousClock.now.advanced(by: $0) }
        let limit = [deadline, startup].compactMap(\.self).min()
        let timer = limit.map { limit in
            Task {
                do { try await Task.sleep(until: limit, clock: .continuous) } catch { return }
                self.giveUp(number, self.overdue(name))
            }
        }
        defer { timer?.cancel() }
        let result: Result<Session, LockError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard !Task.isCancelled else {
                    return continuation.resume(returning: .failure(.cancelled(name)))
                }
                contenders[number] = continuation
                feed(.wanted)
            }
        } onCancel: {
            Task { await self.giveUp(number, .cancelled(name)) }
        }
        return try result.get()
    }

    private func giveUp(_ number: UInt64, _ error: LockError) {
        contenders.removeValue(forKey: number)?.resume(returning: .failure(error))
    }

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

    private func answerContenders(_ result: Result<Session, LockError>) {
        let contenders = self.contenders.values
        self.contenders = [:]
        for contender in contenders { contender.resume(returning: result) }
    }

    // MARK: Life

    /// Begins to connect, if nobody has yet.
    func start() { feed(.wanted) }

    /// Refuses new contenders, turns away the waiting, waits for holders up to `limit`, closes. Returns when done.
    func shutdown(within limit: Duration) async {
        guard machine.state != .stopped else { return }
        feed(.shutdown)
        guard machine.state != .stopped else { return }
        let timer = Task {
            do { try await Task.sleep(for: limit, clock: .continuous) } catch { return }
            self.feed(.drained)
        }
        await stopped()
        timer.cancel()
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
            let delay = backoff.delay(before: attempt, random: .random(in: 0...1))
            waiting = Task {
                do { try await Task.sleep(for: delay, clock: .continuous) } catch { return }
                self.feed(.waitOver)
            }
        case .cancelWait: waiting?.cancel()
        case .announceSession:
            wasConnected = true
            lastFailure = nil
            if let session {
                current.withLock { $0 = session }
                answerContenders(.success(session))
            }
            relay.send(LockEvent(.connected, at: .now, owner: settings.owner, detail: settings.endpoint.description))
            if let exposure = settings.endpoint.exposure {
                relay.send(LockEvent(.warning, at: .now, owner: settings.owner, detail: exposure))
            }
        case .failContenders:
            let failure = lastFailure ?? ConnectionFailure(.unreachable(settings.endpoint.address))
            answerContenders(.failure(LockError(failure)))
        case .turnContendersAway:
            current.withLock { $0 = nil }
            answerContenders(.failure(.shutDown))
        case .drain:
            guard let session else { return feed(.drained) }
            Task {
                await session.drain()
                self.feed(.drained)
            }
        case .closeSession:
            let session = self.session
            self.session = nil
            Task { await session?.close() }
        case .stopped:
            relay.send(LockEvent(.stopped, at: .now, owner: settings.owner))
            for waiter in stopWaiters { waiter.resume() }
            stopWaiters = []
        }
    }

    private func connect() {
        relay.send(LockEvent(.connecting, at: .now, owner: settings.owner, detail: settings.endpoint.description))
        Task { [settings, largest, relay] in
            do throws(ConnectionFailure) {
                let session = try Session(settings: settings, largest: largest, relay: relay) { session, end in
                    // At once, so that no contender is sent back to a session that is gone.
                    self.current.withLock { if $0 === session { $0 = nil } }
                    Task { await self.ended(session, end) }
                }
                try await session.open()
                self.opened(session)
            } catch {
                self.failed(error)
            }
        }
    }

    private func opened(_ session: Session) {
        self.session = session
        feed(.connected)
        // It may have ended before it was known here.
        if let end = session.ending.withLock({ $0 }) { ended(session, end) }
    }

    private func failed(_ failure: ConnectionFailure) {
        lastFailure = failure
        relay.send(LockEvent(.connectionFailed, at: .now, owner: settings.owner, detail: failure.message))
        feed(failure.isPermanent ? .failedForGood : .failedForNow)
    }

    private func ended(_ session: Session, _ end: SessionEnd) {
        guard self.session === session else { return }
        self.session = nil
        current.withLock { $0 = nil }
        if case .failed(let failure) = end { lastFailure = failure }
        relay.send(LockEvent(.disconnected, at: .now, owner: settings.owner, reason: end.lossReason))
        feed(.sessionEnded)
    }
}
