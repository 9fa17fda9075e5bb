/// Acquire and release without contention, and from process to process.
extension BenchDirector {
    /// How long a holder keeps the lock when hand-overs are timed: long enough for the others to stand in line.
    private static let hold = 4000
    /// The cycles of one turn without contention, and those before the first turn, which are not measured.
    private static let (turn, warmUp) = (50, 20)

    func uncontended(_ workers: [Program: BenchProcess]) async throws(CommandFailure) -> BenchMeasurement {
        for (_, worker) in inOrder(workers) { _ = try await times(.cycles(Self.warmUp), of: worker) }
        var samples: [Program: BenchSample] = [:]
        var used: [Program: Double] = [:]
        for (program, worker) in inOrder(workers) { used[program] = -(try await processorTime(of: [worker])) }
        for start in stride(from: 0, to: options.cycles, by: Self.turn) {
            for (program, worker) in inOrder(workers) {
                let count = min(Self.turn, options.cycles - start)
                samples[program, default: .init()].add(try await times(.cycles(count), of: worker))
            }
        }
        for (program, worker) in inOrder(workers) { used[program, default: 0] += try await processorTime(of: [worker]) }
        return try measurement(.uncontended, processes: 1, samples) { program, sample in
            var figures = BenchFigures(sample, perSecond: sample.perSecond)
            figures?.add(cpuPerGrant: used[program].map { $0 / 1000 / Double(sample.durations.count) })
            return figures
        }
    }

    func handOvers(_ report: (BenchMeasurement) -> Void) async throws(CommandFailure) {
        var workers: [Program: [BenchProcess]] = [:]
        for count in options.processes {
            for program in programs {
                while workers[program, default: []].count < count {
                    workers[program, default: []].append(try await worker(program))
                }
            }
            report(try await handOvers(between: workers.mapValues { Array($0.prefix(count)) }))
        }
        for worker in workers.values.joined() { stage.kill(worker) }
    }

    /// Hand-overs without a pause, of one program.
    private struct Rush {
        var rates: [Double] = []
        var fairness: [BenchFairness] = []
        var grants = 0
        var processorTime = 0.0
    }

    /// Latency with holders that hold for a while, so that the next is in line. All else with holders that do not.
    private func handOvers(between workers: [Program: [BenchProcess]]) async throws(CommandFailure) -> BenchMeasurement
    {
        var samples: [Program: BenchSample] = [:]
        var rushes: [Program: Rush] = [:]
        let processes = workers[.mqlock]?.count ?? 0
        let count = max(2, (options.handOvers + Self.rounds * processes - 1) / (Self.rounds * processes))
        for _ in 0..<Self.rounds {
            for (program, workers) in inOrder(workers) {
                let slow = try await turns(of: workers, program, count, holding: Self.hold)
                samples[program, default: .init()].add(slow.handOvers)
                var rush = rushes[program] ?? Rush()
                let before = try await processorTime(of: workers)
                let fast = try await turns(of: workers, program, count, holding: 0)
                rush.processorTime += try await processorTime(of: workers) - before
                rush.grants += fast.count
                if let rate = fast.handOversPerSecond { rush.rates.append(rate) }
                if let fairness = slow.fairness { rush.fairness.append(fairness) }
                rushes[program] = rush
            }
        }
        return try measurement(.handOver, processes: processes, samples) { program, sample in
            let rush = rushes[program] ?? Rush()
            var figures = BenchFigures(
                sample, perSecond: rush.rates.isEmpty ? nil : rush.rates.reduce(0, +) / Double(rush.rates.count))
            figures?.add(BenchFairness(ofAll: rush.fairness))
            figures?.add(cpuPerGrant: rush.grants > 0 ? rush.processorTime / 1000 / Double(rush.grants) : nil)
            return figures
        }
    }

    private func turns(
        of workers: [BenchProcess], _ program: Program, _ count: Int, holding hold: Int
    ) async throws(CommandFailure) -> BenchTurns {
        for worker in workers { worker.send(.turns(count, microseconds: hold)) }
        var all: [BenchTurns.Turn] = []
        for worker in workers { all += try await turns(answeredBy: worker) }
        return try checked(all, program)
    }

    func turns(answeredBy worker: BenchProcess) async throws(CommandFailure) -> [BenchTurns.Turn] {
        try await answers(of: worker) { answer in
            guard case .turns(let instants) = answer, instants.count % 2 == 0 else { return nil }
            return stride(from: 0, to: instants.count, by: 2).map {
                BenchTurns.Turn(contender: worker.number, granted: instants[$0], released: instants[$0 + 1])
            }
        }
    }
}
