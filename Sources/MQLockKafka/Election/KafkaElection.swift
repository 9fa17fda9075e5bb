public import MQLock

/// Leader election on Kafka: the owner of one shard of a topic leads. By default it is the topic's only shard.
///
/// Candidates stay in the group, so the next leader is there when the last one goes. The leadership's token is the
/// number of the claim.
///
/// ```swift
/// let election = try KafkaElection(.init(connection: kafka, topic: "outbox-relay.leader", partitions: 1))
/// try await election.run { leadership in … }
/// ```
///
/// Each candidate that joins or leaves interrupts the leader until the group has assigned the shards again (tens of
/// milliseconds, when all answer). The body is cancelled, `lost` is reported with the reason `partitionRevoked`, and a
/// new leadership with a larger token begins, mostly in the same process. While the leader is interrupted no process
/// may act, so there is no other safe way. A body has to be able to begin again, and one that takes longer to stop than
/// ``ShardOwnership/Configuration/drainTimeout`` loses the shard while it runs. If the leader must not be interrupted
/// and seldom changes, use another broker.
public final class KafkaElection: Election {
    /// The name that is led.
    public let name: LockName
    /// The name of this candidate.
    public let owner: String
    let source: ShardSource
    private let candidate: Candidate

    /// Creates a candidate. It does nothing before ``run(_:)`` or ``campaign(within:)``.
    /// - Parameters:
    ///   - configuration: the group; for an election alone use a topic with one partition.
    ///   - shard: the shard whose owner leads. The topic's other shards are assigned among the candidates, and not used
    ///     here. A service that owns shards anyway runs its leader's work with
    ///     ``ShardOwnership/withShard(of:_:)-(LockName,_)``.
    ///   - settings: how it behaves.
    ///   - clock: the clock that waits are measured with.
    /// - Throws: `LockError` with code `invalidConfiguration`.
    public convenience init(
        _ configuration: ShardOwnership.Configuration, shard: Int = 0, settings: ElectionSettings = .init(),
        clock: any LockClock = SystemLockClock()
    ) throws(LockError) {
        try self.init(LockName(configuration.topic), configuration, shard, settings, clock)
    }

    /// Creates a candidate for the leadership of a name: the owner of the name's shard leads. All names of one shard
    /// have the same leader.
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
        // First, because it checks the number of partitions.
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

    /// Keeps campaigning, and runs `body` while this candidate leads; see `Election`. Joins the group, and leaves it at
    /// the end. After a cancellation this takes at most ``ShardOwnership/Configuration/drainTimeout`` and half a
    /// session.
    public func run(_ body: @escaping @Sendable (Leadership) async throws -> Void) async throws {
        try await candidate.run(body)
    }

    /// Joins the group and campaigns until elected; see `Election`. A rebalance ends this leadership.
    public func campaign(within limit: Duration?) async throws(LockError) -> Leadership {
        try await candidate.campaign(within: limit)
    }

    /// Gives up the leadership and leaves the group.
    public func resign() async { await candidate.ask(.resigned) }

    /// Ends the candidacy for good, and leaves the group; see `Election`.
    public func shutdown() async { await candidate.shutdown() }

    /// Gives up the leadership and leaves the group. Joins it again when another candidate has claimed, or when
    /// `ElectionSettings.standAside` has passed.
    public func cede() async { await candidate.ask(.ceded) }

    /// The current leadership.
    public var leadership: Leadership? { candidate.leadership }

    /// The events of this candidate from now on.
    public var events: AsyncStream<ElectionEvent> { candidate.events }

    /// The candidate that claimed the shard last: a Kafka topic shows no more. So a leader is shown until its successor
    /// has claimed, even when the leader has gone. `fencingToken` is that of the claim; a leadership that began again
    /// under the same claim has a slightly larger one.
    ///
    /// Reads the topic every 250 ms. Throws permanent errors.
    public func observe() -> AsyncThrowingStream<Leader?, any Error> { source.watch() }
}
