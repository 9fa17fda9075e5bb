public import MQLock

/// What has been done under a lock is kept in the lock's log.
extension KafkaLocks: MarkKeeping {
    /// The last marks of a lock, in the order of their tokens.
    ///
    /// While a session stands nothing is asked of the cluster: what it has read so far may lack a mark that another program
    /// has written a moment ago, but none that was written before this program was granted the lock.
    /// - Throws: `LockError`: `unreachable` when no session came up in time; `cancelled`; `accessRefused`, `incompatible` and
    ///   `shutDown` at once.
    public func marks(of name: LockName, within limit: Duration?) async throws(LockError) -> [DoneMark] {
        try await contender.ask(.read(name), within: limit)
    }

    /// Keeps a mark of a lock; returns when it has been read back, so that whoever reads as far sees it.
    ///
    /// It is forgotten when no program comes by for as long as the topic's retention, or when marks of 1,000 other names of
    /// its partition have come after it: see <doc:LogLock>.
    /// - Throws: `LockError`: `outcomeUnknown` when it was not read back in time, or the provider has ended meanwhile;
    ///   `cancelled`; `invalidConfiguration` for a mark without a period; `accessRefused`, `incompatible` and `shutDown` at
    ///   once.
    public func write(_ mark: DoneMark, of name: LockName, within limit: Duration?) async throws(LockError) {
        let text = DoneText(mark, RandomID())
        guard text.mark != nil else {
            throw LockError(.invalidConfiguration, "a mark of \(name) has to say what its period is")
        }
        _ = try await contender.ask(.write(name, text), within: limit)
    }
}
