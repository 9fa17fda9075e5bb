public import MQLock

/// Marks of jobs that have been done are kept in the lock's log.
extension KafkaLocks: MarkKeeping {
    /// The last marks of a lock, ordered by token.
    ///
    /// While a session is open, this asks the cluster nothing. What the session has read so far can lack a mark that
    /// another program wrote a moment ago, but no mark that was written before this program was granted the lock.
    /// - Throws: `LockError`: `unreachable` when no session came up in time; `cancelled`; `accessRefused`,
    ///   `incompatible` and `shutDown` at once.
    public func marks(of name: LockName, within limit: Duration?) async throws(LockError) -> [DoneMark] {
        try await contender.ask(.read(name), within: limit)
    }

    /// Keeps a mark of a lock. Returns when the mark has been read back, so every reader that has read as far sees it.
    ///
    /// A mark is deleted when no session opens for as long as the topic's retention, or when marks of 1,000 other names
    /// of its partition have come after it: see <doc:LogLock>.
    /// - Throws: `LockError`: `outcomeUnknown` when the mark was not read back in time, or the provider has ended
    ///   meanwhile; `cancelled`; `invalidConfiguration` for a mark without a period; `accessRefused`, `incompatible`
    ///   and `shutDown` at once.
    public func write(_ mark: DoneMark, of name: LockName, within limit: Duration?) async throws(LockError) {
        let text = DoneText(mark, RandomID())
        guard text.mark != nil else {
            throw LockError(.invalidConfiguration, "a mark of \(name) has to say what its period is")
        }
        _ = try await contender.ask(.write(name, text), within: limit)
    }
}
