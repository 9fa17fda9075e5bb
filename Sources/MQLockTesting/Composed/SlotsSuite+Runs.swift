import MQLock

/// Runs of many contenders of many processes under faults, all made by a seed, whose histories are judged afterwards.
extension SlotsSuite {
    /// What one contender does in one round.
    private struct Round: Sendable {
        enum End: CaseIterable { case waits, givesUp, isCancelled }

        let end: End
        let patience: Duration
        let hold: Duration

        init(_ random: inout SeededGenerator, _ longest: Duration) {
            func some() -> Duration { longest * Int.random(in: 0...1000, using: &random) / 1000 }
            end = End.allCases.randomElement(using: &random) ?? .waits
            (patience, hold) = (some(), some())
        }
    }

    /// Four permits fewer than contenders, in processes of which one knows fewer than the others.
    @Sendable func semaphoreRun(_ bench: Bench<Provider>) async throws {
        let name = subject.makeName()
        let seats = try await bench.seats(3)
        let recorder = HistoryRecorder(clock: subject.clock)
        let permits = [4, 4, 2]
        try await run(bench, name, slots: 4, seats) { index, round in
            let semaphore = try bench.semaphore(name, permits: permits[index % 3], seats[index % 3])
            let lock: HeldLock
            let slot: Int
            if round.end == .givesUp, round.patience < round.hold {
                guard let permit = try await semaphore.tryAcquire() else { return }
                slot = permit.slot
                lock = permit.asLock()
            } else {
                let permit = try await semaphore.acquire(within: round.end == .givesUp ? round.patience : nil)
                slot = permit.slot
                lock = permit.asLock()
            }
            let expected = try bench.slot(slot, of: name)
            try await hold(lock, as: [expected.string], contender: "\(index)", round, recorder)
            try bench.require(slot < permits[index % 3], "slot \(slot) is none of \(permits[index % 3])")
        }
        try bench.judge(recorder)
    }

    /// Readers and writers in processes of their own and together.
    @Sendable func readWriteRun(_ bench: Bench<Provider>) async throws {
        let name = subject.makeName()
        let seats = try await bench.seats(3)
        let recorder = HistoryRecorder(clock: subject.clock)
        let readers = Self.contenders * 3 / 4
        // A writer excludes every reader and every writer, a reader every writer: so one name for each reader, of which a
        // writer has all.
        let names = (0..<readers).map { "against reader \($0)" }
        try await run(bench, name, slots: 3, seats) { index, round in
            let lock = try bench.readWriteLock(name, readers: 3, seats[index % 3])
            let tries = round.end == .givesUp && round.patience < round.hold
            let limit = round.end == .givesUp ? round.patience : nil
            let held: HeldLock
            switch (index < readers, tries) {
            case (true, true):
                guard let reading = try await lock.tryAcquireRead() else { return }
                held = reading
            case (false, true):
                guard let writing = try await lock.tryAcquireWrite() else { return }
                held = writing
            case (true, false): held = try await lock.acquireRead(within: limit)
            case (false, false): held = try await lock.acquireWrite(within: limit)
            }
            let excluded = index < readers ? [names[index]] : names
            try await hold(held, as: excluded, contender: "\(index)", round, recorder)
        }
        try bench.judge(recorder)
    }

    private static var contenders: Int { 12 }

    private func hold(
        _ held: consuming HeldLock, as names: [String], contender: String, _ round: Round, _ recorder: HistoryRecorder
    ) async throws {
        let lease = held.lease
        recorder.recordGrant(of: lease, as: names, contender: contender)
        // Also of one that is cancelled, and of one that has lost.
        try? await Task.sleep(for: round.hold)
        recorder.recordEnd(of: lease, as: names, contender: contender)
        do throws(LockError) {
            try await held.release()
        } catch {
            guard error.code == .lost else { throw error }
        }
    }

    /// Runs the contenders while everything that can be broken breaks, and checks whether everything is free again.
    private func run(
        _ bench: Bench<Provider>, _ name: LockName, slots: Int, _ seats: [Bench<Provider>.Seat],
        _ round: @escaping @Sendable (Int, Round) async throws -> Void
    ) async throws {
        let longest = effort.longestWait
        let (rounds, seed) = (effort.rounds, effort.seed)
        let faults = Task { try await breakThings(bench, name, slots: slots, seats) }
        defer { faults.cancel() }
        try await bench.passing("a run with MQLOCK_SEED=\(seed)", upTo: subject.handOverLimit * rounds * 10) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for index in 0..<Self.contenders {
                    group.addTask {
                        var random = SeededGenerator(seed &+ UInt64(index))
                        for _ in 0..<rounds {
                            let next = Round(&random, longest)
                            try await Self.play(next) { try await round(index, next) }
                        }
                    }
                }
                try await group.waitForAll()
            }
        }
        faults.cancel()
        _ = await faults.result
        try await bench.requireFree(name, slots: slots, after: seats)
    }

    private static func play(_ round: Round, _ body: @escaping @Sendable () async throws -> Void) async throws {
        let work = Task { try await body() }
        if round.end == .isCancelled {
            try await Task.sleep(for: round.patience)
            work.cancel()
        }
        do {
            try await work.value
        } catch let error as LockError {
            // What ends a wait: the contender itself, or, for a try, a session that ends before there is an answer.
            guard [.timedOut, .cancelled, .unreachable].contains(error.code) else { throw error }
        }
    }

    private func breakThings(
        _ bench: Bench<Provider>, _ name: LockName, slots: Int, _ seats: [Bench<Provider>.Seat]
    ) async throws {
        var random = SeededGenerator(effort.seed &- 1)
        while !Task.isCancelled {
            try await Task.sleep(for: effort.calm)
            let part = Int.random(in: 0...slots, using: &random)
            let seat = seats[Int.random(in: 0..<seats.count, using: &random)]
            switch Int.random(in: 0..<4, using: &random) {
            case 0: try await subject.faults.endSession?(seat.provider)
            case 1: try await subject.faults.deleteObjects?(bench.turnstile(of: name))
            case 2 where effort.hearsOfDeletions && part < slots:
                try await subject.faults.deleteObjects?(bench.slot(part, of: name))
            default: break
            }
        }
    }
}

extension Bench {
    /// Checks that no two held what excludes the other, and that tokens grew.
    func judge(_ recorder: HistoryRecorder) throws {
        let verdict = HistoryChecker().check(recorder.events)
        try require(
            verdict.violations.isEmpty,
            "\(verdict.violations.prefix(3).map { "\($0.kind) of \($0.name): \($0.message)" })")
        try require(!recorder.events.isEmpty, "nobody was admitted")
    }
}
