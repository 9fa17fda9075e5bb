import MQLock

/// Asks who holds the lock that we are waiting for, at a given time.
struct HolderQuestion: Sendable {
    private let task: Task<Void, Never>
    private let answers: AsyncStream<LockContender?>
    private let continuation: AsyncStream<LockContender?>.Continuation

    /// - Parameters:
    ///   - start: when to ask.
    ///   - limit: how long to wait for the answer, connecting included.
    ///   - ask: nil when nobody needs the answer.
    init(start: Duration, limit: Duration, ask: (@Sendable (Duration) async -> LockContender?)?) {
        let (answers, continuation) = AsyncStream.makeStream(
            of: LockContender?.self, bufferingPolicy: .bufferingOldest(1))
        (self.answers, self.continuation) = (answers, continuation)
        guard let ask else {
            continuation.yield(nil)
            task = Task {}
            return
        }
        task = Task {
            do { try await Task.sleep(for: start, clock: .continuous) } catch { return }
            // A broker that does not accept our connection ends no earlier when it is asked to.
            Task {
                try? await Task.sleep(for: limit, clock: .continuous)
                continuation.yield(nil)
            }
            continuation.yield(await ask(limit))
        }
    }

    /// The holder, if it has answered in time.
    /// - Parameter atOnce: whether to stop waiting.
    func answer(atOnce: Bool) async -> LockContender? {
        if atOnce { continuation.yield(nil) }
        defer { stop() }
        for await answer in answers { return answer }
        return nil
    }

    func stop() { task.cancel() }
}
