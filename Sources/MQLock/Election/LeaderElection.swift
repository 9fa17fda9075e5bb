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
/// What is guaranteed, and what only the fencing token can, is in the article *Leader election*. One name is either a
/// lock or led: both are the same to the broker, so `mqlock show` and `mqlock observe` see leaders, too.
public final class LeaderElection: Election {
    /// What is led.
    public let name: LockName
    /// Who this candidate is.
    public let owner: String
    private let source: ProviderSource
    private let lifetime: CandidateLifetime

    /// One candidate. It does nothing before ``run(_:)`` or ``campaign(within:)``.
    /// - Parameters:
    ///   - name: what is led; the lock of that name is what candidates contend for.
    ///   - provider: the locks; all candidates use the same kind. Several elections can share one.
    ///   - inspector: sees other processes' leaders, for ``observe()`` and ``cede()``.
    ///   - owner: who this candidate is, for its own ``observe()`` where there is no inspector.
    ///   - settings: how it behaves.
    ///   - clock: what waits are measured by.
    /// - Throws: `LockError` with code `invalidConfiguration` when the provider does not wait for other processes.
    public init(
        _ name: LockName, on provider: any LockProvider, inspector: (any LockInspector)? = nil, owner: String = "",
        settings: ElectionSettings = .init(), clock: any LockClock = SystemLockClock()
    ) throws(LockError) {
        guard provider.capabilities.waitsAcrossProcesses else {
            throw LockError(
                .invalidConfiguration,
                """
                the locks of \(provider.capabilities.mutex) do not wait for other processes, so nobody could be elected; \
                on Kafka use KafkaElection
                """)
        }
        self.name = name
        self.owner = owner
        source = ProviderSource(name: name, provider: provider, inspector: inspector)
        lifetime = CandidateLifetime(Candidate(source, settings, clock: clock))
    }

    /// Campaigns for ever and runs `body` while this candidate leads; see ``Election/run(_:)``.
    public func run(_ body: @escaping @Sendable (Leadership) async throws -> Void) async throws {
        try await lifetime.run(body)
    }

    /// Campaigns until elected; see ``Election/campaign(within:)``.
    public func campaign(within limit: Duration?) async throws(LockError) -> Leadership {
        try await lifetime.campaign(within: limit)
    }

    /// Stops to be a candidate; see ``Election/resign()``.
    public func resign() async { await lifetime.candidate.ask(.resigned) }

    /// Lets another lead; see ``Election/cede()``. Where the locks are first come, first served, this candidate goes back
    /// to the end of the line, and whoever waits there leads next; else it stands aside.
    public func cede() async { await lifetime.candidate.ask(.ceded) }

    /// The leadership of this moment.
    public var leadership: Leadership? { lifetime.leadership }

    /// What happens to this candidate from now on.
    public var events: AsyncStream<ElectionEvent> { lifetime.events }

    /// Who leads, as the inspector sees it. Without one only this candidate itself can be seen.
    public func observe() -> AsyncThrowingStream<Leader?, any Error> {
        source.observe() ?? lifetime.observeSelf(owner)
    }
}

/// What every election does the same way around its candidate.
extension CandidateLifetime {
    package func run(_ body: @escaping @Sendable (Leadership) async throws -> Void) async throws(LockError) {
        try await candidate.run(self, body)
    }

    package func campaign(within limit: Duration?) async throws(LockError) -> Leadership {
        try await candidate.campaign(self, within: limit)
    }

    package func ask(_ cause: LeadershipEnd.Kind) async { await candidate.ask(cause) }

    package var leadership: Leadership? { candidate.current.withLock { $0 } }
    package var events: AsyncStream<ElectionEvent> { candidate.events.subscribe() }

    func observeSelf(_ owner: String) -> AsyncThrowingStream<Leader?, any Error> {
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
