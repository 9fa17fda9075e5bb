public import MQLock

/// Leader election on Kafka: whoever owns one shard of a topic leads, by default the only one.
///
/// Candidates stay joined to the group, so the next leader is there when the last one goes. The leadership's token is the
/// number of the claim.
///
/// ```swift
/// let election = try KafkaElection(.init(connection: kafka, topic: "outbox-relay.leader", partitions: 1))
/// try await election.run { leadership in … }
/// ```
///
/// Each candidate that joins or leaves interrupts the leader for as long as the group needs to share out anew (tens of
/// milliseconds, when all answer): the body is cancelled, `lost` with the reason `partitionRevoked` is told, and a new
/// leadership with a larger token begins, mostly in the same process. While interrupted nobody may act, so there is no
/// other safe way: a body has to be able to begin again, and one that takes longer to stop than
/// ``ShardOwnership/Configuration/drainTimeout`` loses the shard while it runs. A leadership that changes hands seldom and
/// must not be interrupted belongs on another broker.
public final class KafkaElection: Election {
    /// What is led.
    public let name: LockName
    /// Who this candidate is.
    public let owner: String
    let source: ShardSource
    private let candidate: Candidate

    /// One candidate. It does nothing before ``run(_:)`` or ``campaign(within:)``.
    /// - Parameters:
    ///   - configuration: the group; for an election alone a topic with one partition.
    ///   - shard: which shard's owner leads. The other shards of the topic are shared out among the candidates, and not
    ///     used here; a service that owns shards anyway runs its leader's work by ``ShardOwnership/withShard(of:_:)``.
    ///   - settings: how it behaves.
    ///   - clock: what waits are measured by.
    /// - Throws: `LockError` with code `invalidConfiguration`.
    public convenience init(
        _ configuration: ShardOwnership.Configuration, shard: Int = 0, settings: ElectionSettings = .init(),
        clock: any LockClock = SystemLockClock()
    ) throws(LockError) {
        try self.init(LockName(configuration.topic), configuration, shard, settings, clock)
    }

    /// One candidate for the leadership of a name: the owner of the name's shard leads. All names of one shard are led
    /// by the same process.
    public convenience init(
        _ name: LockName, _ configuration: ShardOwnership.Configuration, settings: ElectionSettings = .init(),
        clock: any LockClock = SystemLockClock()
    ) throws(LockError) {
        let shard = try ShardOwnership(configuration).shard(of: name)
        try self.init(name, configuration, shard, settings, clock)
    }

    private init(
        _ name: LockName, _ configuration: ShardOwnership.Configuration, _ shard: Int, _ settings: ElectionSettings,
        _ clock: any LockClock
    ) throws(LockError) {
        // First, since it checks the number of partitions.
        _ = try ShardOwnership(configuration)
        guard (0..<configuration.partitions).contains(shard) else {
            throw LockError(.invalidConfiguration, "the topic has no shard \(shard) to be led")
        }
        try settings.check()
        self.name = name
        owner = configuration.owner
        source = ShardSource(configuration, name: name, shard: Int32(shard))
        candidate = Candidate(source, settings, clock: clock)
    }

    /// Campaigns for ever and runs `body` while this candidate leads; see `Election`. Joins the group, and leaves it at the
    /// end; cancelled, within ``ShardOwnership/Configuration/drainTimeout`` and half a session.
    public func run(_ body: @escaping @Sendable (Leadership) async throws -> Void) async throws {
        try await candidate.run(body)
    }

    /// Joins the group and campaigns until elected; see `Election`. A rebalance ends this leadership.
    public func campaign(within limit: Duration?) async throws(LockError) -> Leadership {
        try await candidate.campaign(within: limit)
    }

    /// Gives the leadership up and leaves the group.
    public func resign() async { await candidate.ask(.resigned) }

    /// Ends the candidacy for good, and leaves the group; see `Election`.
    public func shutdown() async { await candidate.shutdown() }

    /// Gives the leadership up, leaves the group, and joins it again when another has claimed, or when
    /// `ElectionSettings.standAside` has passed.
    public func cede() async { await candidate.ask(.ceded) }

    /// The leadership of this moment.
    public var leadership: Leadership? { candidate.leadership }

    /// What happens to this candidate from now on.
    public var events: AsyncStream<ElectionEvent> { candidate.events }

    /// Who has claimed the shard last: that is all that a Kafka topic tells. So a leader is shown until its successor
    /// has claimed, also when it has gone; and `fencingToken` is that of the claim, which a leadership that began anew
    /// under the same claim is a little above.
    ///
    /// Reads the topic every 250 ms. Throws what trying again would not mend.
    public func observe() -> AsyncThrowingStream<Leader?, any Error> { source.watch() }
}
