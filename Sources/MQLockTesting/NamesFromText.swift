public import MQLock

// As in MQLock: every entry point that takes a name also takes text.

extension InMemoryBroker {
    /// As ``contenders(for:)-(LockName)``.
    /// - Throws: `LockError` with code `invalidName`.
    @_disfavoredOverload
    public func contenders(for name: some StringProtocol) throws(LockError) -> Int {
        contenders(for: try LockName(name))
    }

    /// As ``deleteQueue(of:)-(LockName)``.
    /// - Throws: `LockError` with code `invalidName`.
    @_disfavoredOverload
    public func deleteQueue(of name: some StringProtocol) throws(LockError) {
        deleteQueue(of: try LockName(name))
    }

    /// As ``occupy(_:kind:)-(LockName,_)``.
    /// - Throws: `LockError` with code `invalidName`.
    @_disfavoredOverload
    @discardableResult
    public func occupy(_ name: some StringProtocol, kind: String) throws(LockError) -> Bool {
        occupy(try LockName(name), kind: kind)
    }
}

extension HistoryRecorder {
    /// As ``withLock(_:of:contender:within:_:)-(LockName,_,_,_,_)``.
    /// - Throws: as that, and `LockError` with code `invalidName`.
    @_disfavoredOverload
    public func withLock<R: Sendable>(
        _ name: some StringProtocol, of provider: some LockProvider, contender: String,
        within limit: Duration? = nil, _ body: (Lease) async throws -> R
    ) async throws -> R {
        try await withLock(LockName(name), of: provider, contender: contender, within: limit, body)
    }
}
