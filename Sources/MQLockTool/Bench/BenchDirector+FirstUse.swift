import MQLock
import MQLockTesting

/// Contention within a process, and what the first use of a name costs.
extension BenchDirector {
    /// How many tasks of a process contend.
    private static let tasks = [8, 64]

    func tasks(_ report: (BenchMeasurement) -> Void) async throws(CommandFailure) {
        let worker = try await worker(.mqlock)
        defer { stage.kill(worker) }
        for tasks in Self.tasks {
            let before = try await processorTime(of: [worker])
            let turns = try await turns(of: worker, tasks, each: max(2, options.handOvers / tasks))
            let used = try await processorTime(of: [worker]) - before
            var sample = BenchSample()
            sample.add(turns.handOvers)
            report(
                try measurement(.tasks, processes: 1, tasks: tasks, [.mqlock: sample]) { _, sample in
                    var figures = BenchFigures(sample, perSecond: turns.handOversPerSecond)
                    figures?.add(turns.fairness)
                    figures?.add(cpuPerGrant: used / 1000 / Double(turns.count))
                    return figures
                })
        }
        report(try await besideTasks())
    }

    private func turns(
        of worker: BenchProcess, _ tasks: Int, each count: Int
    ) async throws(CommandFailure) -> BenchTurns {
        worker.send(.tasks(tasks, count: count))
        return try checked(try await grants(of: worker), .mqlock)
    }

    /// Turns of the tasks of a process.
    private func grants(of worker: BenchProcess) async throws(CommandFailure) -> [BenchTurns.Turn] {
        try await answers(of: worker) { answer in
            guard case .grants(let grants) = answer, grants.count % 3 == 0 else { return nil }
            return stride(from: 0, to: grants.count, by: 3).map {
                BenchTurns.Turn(
                    contender: Int(clamping: grants[$0]), granted: grants[$0 + 1], released: grants[$0 + 2])
            }
        }
    }

    /// How long a process with one task waits beside one whose many tasks always want the lock.
    func besideTasks(_ tasks: Int = Self.tasks.max() ?? 1) async throws(CommandFailure) -> BenchMeasurement {
        let (crowd, single) = (try await worker(.mqlock), try await worker(.mqlock))
        defer { for worker in [crowd, single] { stage.kill(worker) } }
        let count = max(4, options.handOvers / 10)
        // Enough for as long as the other takes part, if it has to wait for a whole stay each time.
        crowd.send(.tasks(tasks, count: (count * Self.grantsOfAStay + tasks - 1) / tasks + 1))
        single.send(.turns(count, microseconds: 0))
        var all = try await turns(answeredBy: single)
        for turn in try await grants(of: crowd) {
            all.append(.init(contender: crowd.number, granted: turn.granted, released: turn.released))
        }
        let turns = try checked(all, .mqlock)
        var sample = BenchSample()
        sample.add(turns.waits(of: single.number))
        return try measurement(.beside, processes: 2, tasks: tasks, [.mqlock: sample]) { _, sample in
            var figures = BenchFigures(sample)
            figures?.add(turns.fairness)
            figures?.share = turns.share(of: single.number)?.rounded(to: 3)
            return figures
        }
    }

    /// What a process may be granted before a lock that stays there goes back.
    private static let grantsOfAStay = 33

    func firstUse(_ report: (BenchMeasurement) -> Void) async throws(CommandFailure) {
        report(try await names(.newName))
        // By now the broker knows them.
        report(try await names(.knownName))
        report(try await newProcesses())
    }

    /// A process that has a session and no name but one.
    private func names(_ measure: BenchResult.Measure) async throws(CommandFailure) -> BenchMeasurement {
        let worker = try await worker(.mqlock)
        defer { stage.kill(worker) }
        let before = try await usage(of: worker).memory
        var sample = BenchSample()
        sample.add(try await times(.collect(options.names), of: worker))
        let after = try await usage(of: worker).memory
        worker.send(.drop)
        try await worker.await(.ready)
        return try measurement(measure, processes: 1, [.mqlock: sample]) { _, sample in
            var figures = BenchFigures(sample)
            if after > before {
                figures?.bytesPerLock = (Double(after - before) / Double(options.names)).rounded(to: 0)
            }
            return figures
        }
    }

    private func newProcesses() async throws(CommandFailure) -> BenchMeasurement {
        var samples: [Program: BenchSample] = [:]
        for _ in 0..<options.kills {
            for program in programs {
                let start = HistoryClock.now
                let worker = try stage.start(arguments[program] ?? [])
                defer { stage.kill(worker) }
                worker.send(.turns(1, microseconds: 0))
                let answer = try await worker.answer()
                guard case .turns(let instants) = answer, let granted = instants.first, granted > start else {
                    throw worker.misunderstood(answer)
                }
                try await worker.await(.done)
                samples[program, default: .init()].add([granted - start])
            }
        }
        return try measurement(.newProcess, processes: 1, samples)
    }
}
