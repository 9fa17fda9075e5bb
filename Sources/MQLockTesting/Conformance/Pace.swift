import MQLock

/// Limits on how long anything takes, on a clock that runs or has to be moved.
struct Pace: Sendable {
    let clock: any LockClock
    /// Lets time pass if the clock has to be moved.
    let move: (@Sendable (Duration) async -> Void)?
    let handOverLimit: Duration
    /// How much real time a step may take that needs no clock to move.
    let patience: Duration
    /// Whether a clock that has to be moved continues, gently, when the time limit of a step is over. When only the
    /// result counts, not its time, a busy machine must not make a test fail.
    var goesOn = false

    /// Does a step that needs no clock to move. A limit in real time, for hanging only.
    func within<Result: Sendable>(
        _ what: String, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await race(what, body) { [patience] in try await Task.sleep(for: patience.bounded) }
    }

    /// Does a step that needs time to pass, at most `limit` of it.
    func passing<Result: Sendable>(
        _ what: String, upTo limit: Duration, _ body: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await race(what, body) {
            guard let move else { return try await Task.sleep(for: limit.bounded + patience.bounded) }
            let step = handOverLimit / 40
            var passed = Duration.zero
            while passed < limit {
                for _ in 0..<20 { await Task.yield() }
                // And for tasks without a processor: time that runs ahead of a renewal under way would end its session.
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

    /// Lets time pass in full; only the clock is awaited.
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
