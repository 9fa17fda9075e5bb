import MQLock

@testable import MQLockTool

/// A provider with one lock that the test holds the strings of.
struct FakeLocks: LockProvider {
    enum Answer: Sendable {
        case grant, taken
        /// Taken, and waited for to the limit.
        case late
        case fail(LockError.Code)
        /// Waits until cancelled.
        case never
    }

    let capabilities = LockCapabilities(mutex: "fake")
    let answer: Answer
    let proof: ProofOfLife
    let record: LeaseRecord
    let released = Locked(false)

    init(_ answer: Answer = .grant, proof length: Duration = .seconds(60)) {
        self.answer = answer
        proof = ProofOfLife(until: .now.advanced(by: length))
        record = LeaseRecord(name: "job", token: FencingToken(rawValue: 42)!, owner: "me", proof: proof)
    }

    func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        switch answer {
        case .grant: return HeldLock(Hold(record) { [released] _, _ in released.withLock { $0 = true } })
        case .late:
            try? await Task.sleep(for: limit ?? .seconds(600))
            throw LockError(.timedOut, "the lock job was not obtained")
        case .taken: throw LockError(.timedOut, "taken")
        case .fail(let code): throw LockError(code, "as the test wants")
        case .never:
            try? await Task.sleep(for: .seconds(600))
            throw LockError(.cancelled, "cancelled")
        }
    }

    func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        switch answer {
        case .taken, .late: return nil
        default: break
        }
        return try await acquire(name, within: .zero)
    }
}
