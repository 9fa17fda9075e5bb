import MQLock

/// One session with one broker: the lock connection on a thread of its own, and the publish connection when it is
/// needed. All leases granted over it die with it; there is no second life: the supervisor opens another.
actor Session {
    private let loop: EventLoop
    private let settings: SessionSettings
    private let publisher: Publisher
    private let largest: LargestTokens
    private let relay: ObserverRelay
    private var core: SessionCore?
    private var names: LockNames?
    /// Tells this session from every other, to those who ask who holds what.
    private let identity = Nonce()
    private let onEnd: @Sendable (Session, SessionEnd) -> Void
    /// How the session ended, as soon as it has.
    nonisolated let ending = Locked<SessionEnd?>(nil)

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// - Parameter onEnd: called once, when a session that came up has ended.
    init(
        settings: SessionSettings, largest: LargestTokens, relay: ObserverRelay,
        onEnd: @escaping @Sendable (Session, SessionEnd) -> Void
    ) throws(ConnectionFailure) {
        loop = try EventLoop(name: "mqlock-locks")
        publisher = try Publisher(settings: settings)
        self.settings = settings
        self.largest = largest
        self.relay = relay
        self.onEnd = onEnd
    }

    deinit { loop.stop() }

    /// Connects, logs in and waits for the first proof of life.
    func open() async throws(ConnectionFailure) {
        let connection = try AMQPConnection.open(
            settings.endpoint, timeout: settings.connectTimeout,
            clientProperties: ["connection_name": Self.connectionName(settings.owner, identity)])
        let core = SessionCore(loop: loop, connection: connection, settings: settings)
        let names = LockNames(
            core: core, session: self, largest: largest, relay: relay,
            publish: { [publisher, weak self] queue, message, done in
                Task {
                    let outcome = await publisher.publish(message, to: queue)
                    await self?.run { done(outcome) }
                }
            },
            prepareToPublish: { [publisher] in publisher.prepare() },
            obstacle: { [publisher] in publisher.obstacle }, presence: presence(core))
        self.core = core
        self.names = names
        core.onSuspect = { [unowned names] in names.setSuspect($0) }
        core.onProven = { [unowned core, relay, settings] roundTrip in
            relay.send(
                LockEvent(
                    .renewed, at: .now, owner: settings.owner, roundTrip: roundTrip, proven: core.proof.remaining))
        }
        core.onEnding = { [unowned names] in names.lose($0) }
        core.onEnd = { [unowned self] end in assumeIsolated { $0.ended(end) } }
        let failure = await withCheckedContinuation { continuation in
            core.start { continuation.resume(returning: $0) }
        }
        switch failure {
        case nil: return
        case .failed(let failure): throw failure
        case .proofOverdue, .requestUnanswered:
            throw ConnectionFailure(
                .timedOut("the broker at \(settings.endpoint.address) accepts logins but does not answer"))
        case .shutdown: throw ConnectionFailure(.brokerClosed(code: 0, text: "the provider was shut down"))
        }
    }

    private func ended(_ end: SessionEnd) {
        ending.withLock { $0 = end }
        // First, so that nobody who is answered below is sent back here.
        onEnd(self, end)
        names?.sessionEnded(end)
        Task { [publisher] in await publisher.close() }
        // A lease that somebody keeps, keeps the session; it need not keep its thread.
        loop.stop()
    }

    // MARK: Contending

    /// Stands in line at the broker until there is an answer; see `NameEntry.Answer`.
    func contend(_ name: LockName, waits: Bool, deadline: ContinuousClock.Instant?) async -> NameEntry.Answer {
        let attempt = Locked<Attempt?>(nil)
        return await withTaskCancellationHandler {
            await stand(in: name, waits: waits, deadline: deadline, attempt)
        } onCancel: {
            guard let number = attempt.withLock({ $0 }) else { return }
            Task { await self.abandon(name, number) }
        }
    }

    /// A method and not a closure, so that it certainly runs on the loop.
    private func stand(
        in name: LockName, waits: Bool, deadline: ContinuousClock.Instant?, _ attempt: Locked<Attempt?>
    ) async -> NameEntry.Answer {
        guard let names else { return .sessionEnded(.shutdown) }
        return await withCheckedContinuation { continuation in
            let number = names.contend(name, waits: waits, deadline: deadline) { continuation.resume(returning: $0) }
            attempt.withLock { $0 = number }
            // A handler that ran before the number was known could do nothing.
            if Task.isCancelled { names.abandon(name, number, .cancelled) }
        }
    }

    private func abandon(_ name: LockName, _ attempt: Attempt) {
        names?.abandon(name, attempt, .cancelled)
    }

    /// Gives a grant of this session back; does nothing when it is no longer held here.
    func release(_ record: LeaseRecord) { names?.release(record) }

    // MARK: Ending

    /// Turns waiting contenders away and returns when nothing is held and those who watch know it, or the session has
    /// ended.
    func drain() async {
        guard let names, core?.end == nil else { return }
        await withCheckedContinuation { continuation in names.drain { continuation.resume() } }
        // A program is often gone a moment later.
        await publisher.finish()
    }

    func close() {
        core?.finish(.shutdown)
    }

    // MARK: Seeing

    /// By it operators find the connection that carries a holder's locks.
    static func connectionName(_ owner: String, _ identity: Nonce) -> String {
        "mqlock \(owner.prefix(200)) locks \(identity)"
    }

    private func presence(_ core: SessionCore) -> PresenceRegistry {
        let link = ControlLink(
            session: identity,
            ask: { [weak self] question in Task { await self?.asked(question) } },
            warn: { [relay, settings] text in
                settings.seeing.warning {
                    relay.send(LockEvent(.warning, at: .now, owner: settings.owner, detail: text))
                }
            })
        return PresenceRegistry(core: core, identity: identity) { [publisher] commands in
            if link.mailbox.put(commands) { Task { await publisher.serve(link) } }
        }
    }

    private func asked(_ question: ControlQuestion) { names?.presence.asked(question) }

    private func run(_ body: @Sendable () -> Void) { body() }
}
