import MQLock

/// What one grant of the broker is worth to this process: its lease and the local ones after it. The loop shares it
/// with the tasks that acquire and release.
final class Tenure: Sendable {
    private struct Storage {
        var stay: Stay
        /// The last lease; nil while nobody holds the lock.
        var record: LeaseRecord?
    }

    private let first: LeaseRecord
    private let storage: Locked<Storage>

    /// - Parameters:
    ///   - first: the broker's grant.
    ///   - length: how long the lock stays here after its first release; zero: not at all.
    init(_ first: LeaseRecord, staying length: Duration) {
        self.first = first
        storage = Locked(Storage(stay: Stay(length: length), record: first))
    }

    var name: LockName { first.name }

    /// The lease; nil while the lock is kept without one.
    var record: LeaseRecord? { storage.withLock { $0.record } }

    /// The largest token that was granted.
    var largest: FencingToken { token(storage.withLock { $0.stay.localGrants }) }

    private func token(_ localGrants: UInt64) -> FencingToken {
        FencingToken(rawValue: first.token.rawValue + localGrants) ?? first.token
    }

    /// The holder of this lease has released it; nil when it was not this one.
    func release(_ record: LeaseRecord) -> Stay.Release? {
        storage.withLock { storage in
            guard storage.record === record else { return nil }
            let release = storage.stay.release(at: record.compactEnd ?? record.proof.clock.compactNow)
            if storage.stay.state == .kept { storage.record = nil }
            return release
        }
    }

    /// A lease for the next local contender, without asking the broker; nil when the broker has to be asked.
    func take() -> LeaseRecord? {
        storage.withLock { storage in
            let now = first.proof.clock.compactNow
            guard let number = storage.stay.take(at: now, isProven: first.isProven(at: now)) else { return nil }
            let record = LeaseRecord(after: first, token: token(number), at: now)
            storage.record = record
            return record
        }
    }

    /// The lock has to go back as soon as nobody holds it.
    /// - Returns: whether that is now.
    func close() -> Bool { storage.withLock { $0.stay.close() } }

    /// From here on nothing is granted locally.
    /// - Returns: the lease that is out.
    @discardableResult
    func finish() -> LeaseRecord? {
        storage.withLock { storage in
            storage.stay.finish()
            return storage.record
        }
    }
}

/// The tenures that may be continued locally, by name: what a task looks at before it asks the loop.
final class Tenures: Sendable {
    private let byName = Locked<[LockName: Tenure]>([:])

    subscript(name: LockName) -> Tenure? { byName.withLock { $0[name] } }

    func add(_ tenure: Tenure) { byName.withLock { $0[tenure.name] = tenure } }

    func remove(_ tenure: Tenure) {
        byName.withLock { tenures in
            if tenures[tenure.name] === tenure { tenures[tenure.name] = nil }
        }
    }
}
