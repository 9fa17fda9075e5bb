public import MQLock

/// A queue beside the lock records what has been done under it. It is of the same kind for every mutex.
extension RabbitMQLocks: MarkKeeping {
    /// The last marks of a lock. Programs that look at the same marks do so one after the other, some milliseconds
    /// each.
    /// - Throws: `LockError`: `unreachable` when no session came up or the broker did not answer in time; `cancelled`;
    ///   `accessRefused`, `incompatible`, `invalidName`, `limitExceeded` and `shutDown` at once.
    public func marks(of name: LockName, within limit: Duration?) async throws(LockError) -> [DoneMark] {
        try await sessions.first.ask(.read(creating: true), of: name, until: limit.map { .now.after(max(.zero, $0)) })
    }

    /// Stores a mark of a lock; returns when the broker has confirmed it.
    ///
    /// A mark that nobody asks for expires after 49 days.
    /// - Throws: `LockError`: `outcomeUnknown` when the broker did not confirm it in time; `cancelled`; `accessRefused`,
    ///   `incompatible`, `invalidName`, `limitExceeded` and `shutDown` at once.
    public func write(_ mark: DoneMark, of name: LockName, within limit: Duration?) async throws(LockError) {
        _ = try await sessions.first.ask(.write(mark), of: name, until: limit.map { .now.after(max(.zero, $0)) })
    }

    /// As ``marks(of:within:)``, but creates nothing on the broker: if no job has been done, there are no marks.
    package func marksThatAreThere(
        of name: LockName, within limit: Duration?
    ) async throws(LockError) -> [DoneMark] {
        try await sessions.first.ask(.read(creating: false), of: name, until: limit.map { .now.after(max(.zero, $0)) })
    }
}
