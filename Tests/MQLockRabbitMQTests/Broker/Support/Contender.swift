import MQLock

/// One acquire in a task of its own, which holds until it is told to release.
final class Contender: Sendable {
    let name: LockName
    /// What the wait ended with.
    let outcome = OneShot<Result<Lease, LockError>>()
    /// What the release ended with; nil is success.
    let released = OneShot<LockError?>()
    private let mayRelease = OneShot<Void>()
    private let task = Locked<Task<Void, Never>?>(nil)

    init(_ locks: any LockProvider, _ name: LockName, within limit: Duration? = nil) {
        self.name = name
        let task = Task {
            do throws(LockError) {
                let held = try await locks.acquire(name, within: limit)
                outcome.fulfil(.success(held.lease))
                // A test that has forgotten its contender ends all the same.
                _ = try? await mayRelease.value(within: .seconds(600))
                do throws(LockError) {
                    try await held.release()
                    released.fulfil(nil)
                } catch {
                    released.fulfil(error)
                }
            } catch {
                outcome.fulfil(.failure(error))
                released.fulfil(nil)
            }
        }
        self.task.withLock { $0 = task }
    }

    /// The lease, as soon as it is granted.
    func lease(within limit: Duration = .seconds(60)) async throws -> Lease {
        try await outcome.value(within: limit, "the lock \(name)").get()
    }

    /// The error that the wait ended with; nil if it ended with a grant.
    func failure(within limit: Duration = .seconds(60)) async throws -> LockError? {
        switch try await outcome.value(within: limit, "the end of the wait for \(name)") {
        case .success: nil
        case .failure(let error): error
        }
    }

    func cancel() { task.withLock { $0 }?.cancel() }

    /// Releases, and returns what that threw.
    @discardableResult
    func release() async throws -> LockError? {
        mayRelease.fulfil(())
        return try await released.value(within: .seconds(60), "the release of \(name)")
    }
}

extension Lease {
    /// Why it was lost, as its states tell.
    func lossReason(within limit: Duration = .seconds(60)) async throws -> LossReason? {
        let reason = OneShot<LossReason?>()
        let watching = Task { [states] in
            for await state in states {
                switch state {
                case .lost(let why): reason.fulfil(why)
                case .released: reason.fulfil(nil)
                case .held, .suspect: break
                }
            }
        }
        defer { watching.cancel() }
        return try await reason.value(within: limit, "the loss of \(name)")
    }
}
