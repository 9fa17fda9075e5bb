import MQLock

// A lock within itself.
extension LockConformance {
    private struct InnerError: Error {}

    var reentrantChecks: [Check] {
        [
            Check(.exclusion, "a lock within itself: generated trees of tasks") { [effort] bench in
                let seats = try await bench.seats(3)
                let watch = HoldWatch(seats: seats.count, clock: bench.subject.clock)
                let name = bench.subject.makeName()
                try await bench.within("trees of tasks, seed \(effort.seed)") {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for (index, seat) in seats.enumerated() {
                            for task in 0..<3 {
                                let seed = effort.seed &+ UInt64(index * 3 + task)
                                group.addTask {
                                    for round in 0..<effort.rounds {
                                        try await ReentrantLock(name, on: seat.provider).withLock { lease in
                                            try await watch.hold([lease], seat: index, who: "task \(task)") {
                                                try await branch(
                                                    name, seat.provider, lease, 3, seed &+ UInt64(round) << 32)
                                            }
                                        }
                                    }
                                }
                            }
                        }
                        try await group.waitForAll()
                    }
                }
                try watch.check()
                // Observers are notified a little later.
                for log in seats.map(\.log) {
                    _ = try await bench.within("the releases of a seat") { [effort] in
                        await log.events.first { _ in log.names(of: .released).count == 3 * effort.rounds }
                    }
                }
                let attempts = seats.flatMap { $0.log.names(of: .waiting) }.count
                try bench.require(attempts == 9 * effort.rounds, "\(attempts) attempts were made")
            },
            Check(.noPolling, "a lock within itself asks nobody", waits: false) { bench in
                let seat = try await bench.seat()
                let lock = ReentrantLock(bench.subject.makeName(), on: seat.provider)
                try await bench.within("a lock within itself") {
                    try await lock.withLock { outer in
                        let before = try await bench.subject.faults.requestCount?()
                        try await lock.withLock(within: .zero) { inner in
                            try bench.require(inner.id == outer.id, "the inner lease is another one")
                        }
                        let error = await outcome { try await lock.withLock { _ in throw InnerError() } }
                        guard case .failure(is InnerError) = error else { throw Unmet("the inner end: \(error)") }
                        try bench.require(outer.isValid, "the inner end released the lock")
                        let after = try await bench.subject.faults.requestCount?()
                        try bench.require(before == after, "the inner ones asked the broker")
                    }
                }
                _ = try await bench.within("the release") { [log = seat.log] in
                    await log.events.first { $0.kind == .released }
                }
                let attempts = seat.log.names(of: .waiting).count
                try bench.require(attempts == 1, "\(attempts) attempts were made")
                try await bench.requireFree([lock.name], seat, "after the outer end")
            },
            Check(.exclusion, "everybody else waits for a lock within itself") { bench in
                let seats = try await bench.seats(2)
                let name = bench.subject.makeName()
                let others = try await bench.within("the outer body") {
                    try await ReentrantLock(name, on: seats[0].provider).withLock { outer in
                        // Another session is another holder, also for the task that holds. Here such a task tries.
                        let other = Task { try await ReentrantLock(name, on: seats[1].provider).withLock { _ in } }
                        _ = await seats[1].log.events.first { $0.kind == .waiting && $0.name == name }
                        other.cancel()
                        guard case .failure(let error as LockError) = await other.result, error.code == .cancelled
                        else { throw Unmet("another session got the lock: \(await other.result)") }
                        let others = seats.map { seat in
                            Task.detached {
                                try await ReentrantLock(name, on: seat.provider).withLock { lease in
                                    (outer: outer.isValid, isLater: lease.fencingToken > outer.fencingToken)
                                }
                            }
                        }
                        for log in seats.map(\.log) {
                            _ = await log.events.first { _ in log.names(of: .waiting).count == 2 }
                        }
                        return others
                    }
                }
                for other in others {
                    let seen = try await bench.within("a detached task") { try await other.value }
                    try bench.require(!seen.outer && seen.isLater, "a detached task: \(seen)")
                }
            },
            Check(.lossIsReported, "a lock within itself is lost", waits: false) { bench in
                let endSession = try bench.need(bench.subject.faults.endSession, "end a session")
                let seat = try await bench.seat()
                let lock = ReentrantLock(bench.subject.makeName(), on: seat.provider)
                let result = try await bench.passing("the outer end", upTo: bench.subject.handOverLimit * 2) {
                    await outcome {
                        try await lock.withLock { _ in
                            let inner = await outcome {
                                try await lock.withLock { _ in
                                    try await endSession(seat.provider)
                                    await forever()
                                    throw InnerError()
                                }
                            }
                            try requireLost(inner, "the inner end", underlying: true)
                            // No one is let in any more.
                            let next = await outcome { try await lock.withLock { _ in } }
                            try requireLost(next, "an inner beginning", underlying: false)
                            throw InnerError()
                        }
                    }
                }
                try requireLost(result, "the outer end", underlying: true)
            },
            Check(.ownedRelease, "a task that outlives a lock within itself", waits: false) { bench in
                let seat = try await bench.seat()
                let lock = ReentrantLock(bench.subject.makeName(), on: seat.provider)
                let begun = Replay<LeaseID>()
                let (outer, task) = try await bench.within("the outer body") {
                    try await lock.withLock { outer in
                        // Not structured: it has the hold, and nothing makes the outer body wait for it.
                        let task = Task {
                            let inner = await outcome {
                                try await lock.withLock { lease in
                                    begun.send(lease.id)
                                    await forever()
                                    throw InnerError()
                                }
                            }
                            let after = await outcome { try await lock.withLock { $0.id } }
                            return (inner, after)
                        }
                        let id = await begun.first { _ in true }
                        try bench.require(id == outer.id, "the inner lease is another one")
                        return (outer, task)
                    }
                }
                let (inner, after) = try await bench.within("a task that outlives the outer body") { await task.value }
                guard case .failure(let error as LockError) = inner, error.code == .released,
                    error.underlying is InnerError
                else { throw Unmet("the inner body that outlived the outer one: \(inner)") }
                guard case .success(let id) = after, id != outer.id else {
                    throw Unmet("a task that outlived the outer body took the lock: \(after)")
                }
            },
            Check(.cancellationLeaksNothing, "a cancelled task and a lock within itself", waits: false) { bench in
                let seat = try await bench.seat()
                let lock = ReentrantLock(bench.subject.makeName(), on: seat.provider)
                let inner = try await bench.within("the outer body") {
                    await Task {
                        try await lock.withLock { _ in
                            withUnsafeCurrentTask { $0?.cancel() }
                            try await lock.withLock { _ in throw InnerError() }
                        }
                    }.result
                }
                guard case .failure(let error as LockError) = inner, error.code == .cancelled else {
                    throw Unmet("the inner attempt of a cancelled task: \(inner)")
                }
                try await bench.requireFree([lock.name], seat, "after a cancelled body")
            },
        ]
    }

    /// Acquires the lock within itself, in this task or in child tasks, a few levels deep.
    private func branch(
        _ name: LockName, _ provider: Provider, _ outer: Lease, _ levels: Int, _ seed: UInt64
    ) async throws {
        guard levels > 0 else { return await Task.yield() }
        var generator = SeededGenerator(seed)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for child in 0..<Int.random(in: 1...3, using: &generator) {
                group.addTask {
                    try await ReentrantLock(name, on: provider).withLock { lease in
                        guard lease.id == outer.id, lease.isValid else { throw Unmet("\(levels) levels up: \(lease)") }
                        try await branch(name, provider, outer, levels - 1, seed &* 31 &+ UInt64(child))
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private func requireLost(_ result: Result<Void, any Error>, _ what: String, underlying: Bool) throws {
        guard case .failure(let error as LockError) = result, error.code == .lost,
            (error.underlying is InnerError) == underlying
        else { throw Unmet("\(what) of a lost lock: \(result)") }
    }
}

/// Ends by cancellation only.
private func forever() async { for await _ in AsyncStream<Never>.makeStream().stream {} }

private func outcome<R: Sendable>(_ body: @Sendable () async throws -> R) async -> Result<R, any Error> {
    do {
        return .success(try await body())
    } catch {
        return .failure(error)
    }
}
