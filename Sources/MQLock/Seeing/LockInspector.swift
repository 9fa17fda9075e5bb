/// Sees who holds locks and who waits for them, and asks holders to give way; takes none itself.
///
/// Contenders answer for themselves: what they say is what they believe. One that has held or waited for less than a
/// moment may not be seen.
public protocol LockInspector: Sendable {
    /// Asks all contenders of a name who they are.
    /// - Parameters:
    ///   - name: the lock that the question is about.
    ///   - limit: how long to wait for the holder's answer at most. Returns soon after it, so only silence takes that long.
    func view(_ name: LockName, within limit: Duration) async throws(LockError) -> LockView

    /// Every change of a lock, told by the contenders when it happens; what is there at the beginning comes first.
    ///
    /// Goes on over lost connections until its task is cancelled. A reader that is too slow loses the oldest changes.
    func changes(of name: LockName) -> AsyncThrowingStream<LockChange, any Error>

    /// Asks the holder with this token to give the lock up: a cooperative break. What holds the lock is told that it is
    /// lost, with the reason *asked to yield*.
    /// - Parameters:
    ///   - name: the lock.
    ///   - token: the hold that is meant; a later one is not given up.
    ///   - limit: how long to wait for the holder's answer.
    func askToYield(
        _ name: LockName, token: FencingToken, within limit: Duration
    ) async throws(LockError) -> YieldAnswer
}

/// What a holder that was asked to yield has answered.
public enum YieldAnswer: Hashable, Sendable {
    /// Its lease is lost, and the lock is handed on as soon as it has stopped.
    case yielding(LockContender)
    /// It does not obey, and says why.
    case refused(String)
    /// Nobody has answered: the holder is gone, stopped or cut off.
    case silent
}
