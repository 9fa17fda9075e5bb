/// Shows who holds locks and who waits for them, and asks holders to yield; it acquires none itself.
///
/// Contenders answer for themselves: what they say is what they believe. One that has held or waited only for a moment
/// may not be seen.
public protocol LockInspector: Sendable {
    /// Asks all contenders of a name who they are.
    /// - Parameters:
    ///   - name: the lock that the question is about.
    ///   - limit: how long to wait for the holder's answer at most. Returns soon after it, so only silence takes that long.
    func view(_ name: LockName, within limit: Duration) async throws(LockError) -> LockView

    /// Every change of a lock, as the contenders report it when it happens; the state at the beginning comes first.
    ///
    /// Continues across lost connections until its task is cancelled. A reader that is too slow loses the oldest
    /// changes.
    func changes(of name: LockName) -> AsyncThrowingStream<LockChange, any Error>

    /// Asks the holder with this token to give up the lock: a cooperative break. The holder is notified that it is
    /// lost, with the reason *asked to yield*.
    /// - Parameters:
    ///   - name: the lock.
    ///   - token: the hold that is meant; a later one is not affected.
    ///   - limit: how long to wait for the holder's answer.
    func askToYield(
        _ name: LockName, token: FencingToken, within limit: Duration
    ) async throws(LockError) -> YieldAnswer
}

/// The answer of a holder that was asked to yield.
public enum YieldAnswer: Hashable, Sendable {
    /// Its lease is lost, and the lock is handed to someone else as soon as the holder has stopped.
    case yielding(LockContender)
    /// It refuses, and says why.
    case refused(String)
    /// There is no answer: the holder is gone, stopped or cut off.
    case silent
}
