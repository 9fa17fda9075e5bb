import MQLock

/// The state of a provider's session, readable on any thread.
final class SessionHealth: Sendable {
    private struct State {
        var proof: ProofOfLife?
        var error: LockError?
    }

    private let state = Locked(State())

    /// By the local clock: a session whose proof has run out counts as ended, even if nobody has noticed.
    var isConnected: Bool { state.withLock { $0.proof }?.isAlive ?? false }

    /// Whether a session has ended and the next is not up yet.
    var isDown: Bool { state.withLock { $0.proof != nil || $0.error != nil } && !isConnected }

    var lastError: LockError? { state.withLock { $0.error } }

    func stands(_ proof: ProofOfLife) { state.withLock { $0 = State(proof: proof) } }

    /// - Parameter error: nil when we ended the session.
    func ended(_ error: LockError?) { state.withLock { $0 = State(error: error ?? $0.error) } }
}
