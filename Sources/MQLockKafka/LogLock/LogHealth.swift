import MQLock

/// The health of the sessions, readable from any thread.
final class LogHealth: Sendable {
    private struct State {
        var open: [Int32: RandomID] = [:]
        var hasBeenOpen = false
        var error: LockError?
    }

    private let state = Locked(State())

    func opened(_ partition: Int32, _ session: RandomID?) {
        state.withLock {
            $0.open[partition] = session
            ($0.hasBeenOpen, $0.error) = (true, nil)
        }
    }

    func closed(_ partition: Int32, _ reason: LossReason) {
        state.withLock {
            $0.open[partition] = nil
            guard reason.kind != .shutdown else { return }
            $0.error = $0.error ?? LockError(.unreachable, "the session has ended: \(reason)")
        }
    }

    func failed(_ error: LockError) { state.withLock { $0.error = error } }

    /// The open sessions, by partition.
    var sessions: [Int32: RandomID] { state.withLock { $0.open } }
    var hasBeenOpen: Bool { state.withLock { $0.hasBeenOpen } }
    var isConnected: Bool { state.withLock { !$0.open.isEmpty } }
    var lastError: LockError? { state.withLock { $0.open.isEmpty ? $0.error : nil } }

    /// The error of a wait whose time is over.
    func timedOut(_ name: LockName) -> LockError {
        let (hasBeenOpen, error) = state.withLock { ($0.hasBeenOpen, $0.error) }
        guard !hasBeenOpen else { return .timedOut(name) }
        return LockError(
            .unreachable, "no session with the lock log came up in time: \(error?.message ?? "no broker has answered")",
            underlying: error)
    }
}
