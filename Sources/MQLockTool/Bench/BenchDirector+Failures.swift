import MQLockTesting

/// Holders that die, and holders that lose their connections.
extension BenchDirector {
    /// How long after a waiter's start its holder is killed: long enough for it to stand in line.
    private static let settling = Duration.milliseconds(100)

    /// As often as holders are killed.
    func losses() async throws(CommandFailure) -> BenchMeasurement {
        let worker = try await worker(.mqlock)
        defer { stage.kill(worker) }
        var sample = BenchSample()
        sample.add(try await times(.lose(options.kills), of: worker))
        return try measurement(.loss, processes: 1, [.mqlock: sample])
    }

    func recovery() async throws(CommandFailure) -> BenchMeasurement {
        var samples: [Program: BenchSample] = [:]
        var holders: [Program: BenchProcess] = [:]
        // Kafka notices the death of a holder by its session, which the other program does not have.
        let programs = mutex == BenchOptions.log ? [.mqlock] : programs
        for _ in 0..<options.kills {
            for program in programs {
                let holder: BenchProcess
                if let last = holders[program] { holder = last } else { holder = try await self.holder(of: program) }
                let (next, duration) = try await handOver(of: holder, program)
                samples[program, default: .init()].add([duration])
                holders[program] = next
            }
        }
        for holder in holders.values { stage.kill(holder) }
        return try measurement(.recovery, processes: 2, samples)
    }

    /// Kills the holder; returns the next one and the time until it held the lock.
    private func handOver(
        of holder: BenchProcess, _ program: Program
    ) async throws(CommandFailure) -> (BenchProcess, UInt64) {
        let next = try await worker(program)
        next.send(.hold)
        try? await Task.sleep(for: Self.settling)
        let killed = HistoryClock.now
        holder.die()
        let granted = try await grant(of: next)
        guard granted > killed else {
            throw CommandFailure(
                status: ExitStatus.internalError, message: "a lock was granted before its holder was killed")
        }
        stage.kill(holder)
        return (next, granted - killed)
    }

    private func holder(of program: Program) async throws(CommandFailure) -> BenchProcess {
        let worker = try await worker(program)
        worker.send(.hold)
        _ = try await grant(of: worker)
        return worker
    }

    private func grant(of worker: BenchProcess) async throws(CommandFailure) -> UInt64 {
        let answer = try await worker.answer()
        guard case .granted(let instant) = answer else { throw worker.misunderstood(answer) }
        return instant
    }
}
