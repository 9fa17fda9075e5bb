import MQLock

/// Limits on how long anything takes, on a clock that runs or has to be moved.
struct Pace: Sendable {
    let clock: any LockClock
    /// Lets time pass where the clock has to be moved.
    let move: (@Sendable (Duration) async -> Void)?
    let handOverLimit: Duration
    /// How much real time anything may take that needs no clock to move.
    let patience: Duration
    /// Whether a clock that has to be moved goes on, gently, when the time is over that something may take: where only
    /// what comes counts, not when, a busy machine must not make a test wait in vain.
    var goesOn = false

    /// Does what needs no clock to move. A limit in real time, for hanging only.
    func within<Result: Sendable>(
        _ what: String, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await race(what, body) { [patience] in try await Task.sleep(for: patience.bounded) }
    }

    /// Does what needs time to pass, at most `limit` of it.
    func passing<Result: Sendable>(
        _ what: String, upTo limit: Duration, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await race(what, body) {
            guard let move else { return try await Task.sleep(for: limit.bounded + patience.bounded) }
            let step = handOverLimit / 40
            var passed = Duration.zero
            while passed < limit {
                for _ in 0..<20 { await Task.yield() }
                // And for who has no processor: time that runs ahead of a renewal in hand would end its session.
                try await Task.sleep(for: .milliseconds(2))
                await move(step)
                passed += step
            }
            let deadline = ContinuousClock.now.after(patience)
            while goesOn, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(1))
                await move(step)
            }
            try await Task.sleep(until: deadline, clock: .continuous)
        }
    }

    /// Lets time pass in full; nothing is awaited but the clock.
    func pass(_ duration: Duration) async throws {
        let deadline = clock.now.after(duration)
        try await passing("the clock", upTo: duration.bounded + handOverLimit) {
            try await clock.sleep(until: deadline)
        }
    }

    private func race<Result: Sendable>(
        _ what: String, _ body: @escaping @Sendable () async throws -> Result,
        _ limit: @escaping @Sendable () async throws -> Void
    ) async throws -> Result {
        let outcomes = Replay<Swift.Result<Result, any Error>>()
        let work = Task {
            do {
                outcomes.send(.success(try await body()))
            } catch {
                outcomes.send(.failure(error))
            }
        }
        let watch = Task {
            do { try await limit() } catch { return }
            outcomes.send(.failure(Unmet("waited in vain for \(what)")))
        }
        defer {
            work.cancel()
            watch.cancel()
        }
        guard let outcome = await outcomes.first(where: { _ in true }) else { throw CancellationError() }
        return try outcome.get()
    }
}
