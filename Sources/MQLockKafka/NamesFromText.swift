public import MQLock

// As in MQLock, every entry point that takes a name also takes text.

extension ShardOwnership {
    /// As ``shard(of:)-(LockName)``.
    /// - Throws: `LockError` with code `invalidName`.
    @_disfavoredOverload
    public func shard(of name: some StringProtocol) throws(LockError) -> Int { shard(of: try LockName(name)) }

    /// As ``owns(_:)-(LockName)``.
    /// - Throws: `LockError` with code `invalidName`.
    @_disfavoredOverload
    public func owns(_ name: some StringProtocol) throws(LockError) -> Bool { owns(try LockName(name)) }

    /// As ``lastKnownOwner(of:)-(LockName)``.
    /// - Throws: `LockError` with code `invalidName`.
    @_disfavoredOverload
    public func lastKnownOwner(of name: some StringProtocol) async throws(LockError) -> String? {
        await lastKnownOwner(of: try LockName(name))
    }

    /// As ``withShard(of:_:)-(LockName,_)``.
    /// - Throws: as that, and `LockError` with code `invalidName`.
    @_disfavoredOverload
    public func withShard<R: Sendable>(
        of name: some StringProtocol, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        try await withShard(of: LockName(name), body)
    }

    /// As ``withShard(of:within:_:)-(LockName,_,_)``.
    /// - Throws: as that, and `LockError` with code `invalidName`.
    @_disfavoredOverload
    public func withShard<R: Sendable>(
        of name: some StringProtocol, within limit: Duration, _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> R {
        try await withShard(of: LockName(name), within: limit, body)
    }
}

extension KafkaElection {
    /// As ``init(_:_:settings:clock:)-(LockName,_,_,_)``.
    /// - Throws: `LockError` as that, and with code `invalidName`.
    @_disfavoredOverload
    public convenience init(
        _ name: some StringProtocol, _ configuration: ShardOwnership.Configuration,
        settings: ElectionSettings = .init(), clock: any LockClock = SystemLockClock()
    ) throws(LockError) {
        try self.init(LockName(name), configuration, settings: settings, clock: clock)
    }
}

extension FencedProducer {
    /// As ``transaction(for:_:)-(LockName,_)``.
    /// - Throws: as that, and `LockError` with code `invalidName`.
    @_disfavoredOverload
    nonisolated(nonsending) public func transaction<Result>(
        for name: some StringProtocol, _ body: (inout OutputBatch) throws -> Result
    ) async throws -> Result {
        try await transaction(for: LockName(name), body)
    }
}
