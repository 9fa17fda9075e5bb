/// Leader election over locks: of all candidates for a name, the one that holds the lock leads.
///
/// ```swift
/// let locks = try RabbitMQLocks(.init(uri: "amqp://user:password@broker/vhost"))
/// let election = try LeaderElection("outbox-relay", on: locks)
/// try await election.run { leadership in
///     for try await record in outbox.records() {           // cancelled when the leadership ends
///         try leadership.check(atLeast: .seconds(1))
///         try await publish(record, fence: leadership.fencingToken)
///     }
/// }
/// ```
///
/// The article *Leader election* says what is guaranteed, and what only the fencing token can guarantee. One name is
/// either a lock or led: both are the same to the broker, so `mqlock show` and `mqlock observe` see leaders, too.
public final class LeaderElection: Election {
    /// What is led.
    public let name: LockName
    /// Who this candidate is.
    public let owner: String
    private let source: ProviderSource
    private let candidate: Candidate

    /// One candidate. It does nothing before ``run(_:)`` or ``campaign(within:)``.
    /// - Parameters:
    ///   - name: what is led; the lock of that name is what candidates contend for.
    ///   - provider: the locks; all candidates use the same kind. Several elections can share one.
    ///   - inspector: sees other processes' leaders, for ``observe()`` and ``cede()``.
    ///   - owner: who this candidate is, for its own ``observe()`` where there is no inspector.
    ///   - settings: how it behaves.
    ///   - clock: the clock that measures waits.
    /// - Throws: `LockError` with code `invalidConfiguration` when the provider does not wait for other processes, or a
    ///   duration of the settings makes no sense.
    public init(
        _ name: LockName, on provider: any LockProvider, inspector: (any LockInspector)? = nil, owner: String = "",
        settings: ElectionSettings = .init(), clock: any LockClock = SystemLockClock()
    ) throws(LockError) {
        try settings.check()
        guard provider.capabilities.waitsAcrossProcesses else {
            throw LockError(
                .invalidConfiguration,
                """
                the locks of \(provider.capabilities.mutex) do not wait for other processes, so nobody could be elected; \
                on Kafka use KafkaLocks or KafkaElection
                """)
        }
        self.name = name
        self.owner = owner
        source = ProviderSource(name: name, provider: provider, inspector: inspector)
        candidate = Candidate(source, settings, clock: clock)
    }

    /// Keeps campaigning until it is stopped, and runs `body` while this candidate leads; see ``Election/run(_:)``.
    public func run(_ body: @escaping @Sendable (Leadership) async throws -> Void) async throws {
        try await candidate.run(body)
    }

    /// Campaigns until elected; see ``Election/campaign(within:)``.
    public func campaign(within limit: Duration?) async throws(LockError) -> Leadership {
        try await candidate.campaign(within: limit)
    }

    /// Stops being a candidate; see ``Election/resign()``.
    public func resign() async { await candidate.ask(.resigned) }

    /// Ends the candidacy for good; see ``Election/shutdown()``. The provider keeps running: it may have other users.
    public func shutdown() async { await candidate.shutdown() }

    /// Lets another lead; see ``Election/cede()``. If the locks are first come, first served, this candidate goes back
    /// to the end of the line, and the next one in line leads; otherwise it stands aside.
    public func cede() async { await candidate.ask(.ceded) }

    /// The current leadership.
    public var leadership: Leadership? { candidate.leadership }

    /// What happens to this candidate from now on.
    public var events: AsyncStream<ElectionEvent> { candidate.events }

    /// Who leads, as the inspector sees it. Without an inspector, only this candidate itself can be seen.
    public func observe() -> AsyncThrowingStream<Leader?, any Error> {
        source.observe() ?? candidate.observeSelf(owner)
    }
}

extension Candidate {
    /// Who leads, as far as this candidate knows: itself or no one.
    fileprivate nonisolated func observeSelf(_ owner: String) -> AsyncThrowingStream<Leader?, any Error> {
        let events = events
        let first = leadership
        return AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1024)) { continuation in
            var last = first.map { Leader(owner: owner, fencingToken: $0.fencingToken) }
            continuation.yield(last)
            let task = Task {
                for await event in events where event.kind == .elected || event.kind == .ended {
                    let leader =
                        event.kind == .elected
                        ? event.fencingToken.map { Leader(owner: owner, fencingToken: $0) } : nil
                    if leader != last { continuation.yield(leader) }
                    last = leader
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }
}
