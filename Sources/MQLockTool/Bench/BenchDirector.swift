import Foundation
import MQLock
import MQLockRabbitMQ
import MQLockTesting

/// Measures one mutex, by orders to worker processes.
struct BenchDirector {
    let contestant: BenchContestant
    let options: BenchOptions
    let stage: BenchStage
    /// The worker's operands.
    private let arguments: [String]
    private let programs: [BenchOrder.Program]

    /// How long a holder keeps the lock where hand-overs are timed: long enough for the others to stand in line.
    private static let hold = 4000
    /// How long after a waiter's start its holder is killed; the same reason.
    private static let settling = Duration.milliseconds(100)
    /// Raw and ours take turns so often, so that a machine that drifts slows both.
    private static let rounds = 4

    init(
        _ contestant: BenchContestant, _ options: BenchOptions, on stage: BenchStage, lock: LockName,
        rawQueue: String, withRaw: Bool
    ) {
        (self.contestant, self.options, self.stage) = (contestant, options, stage)
        arguments = [contestant.name, lock.string, rawQueue]
        programs = withRaw ? [.raw, .mqlock] : [.mqlock]
    }

    /// - Parameter report: called with each result as it comes.
    func measure(_ report: (BenchResult) -> Void) async throws {
        report(try await uncontended())
        var workers: [BenchProcess] = []
        for count in options.processes {
            for _ in workers.count..<max(workers.count, count) { workers.append(try await worker()) }
            report(try await handOvers(between: Array(workers.prefix(count))))
        }
        for worker in workers { stage.kill(worker) }
        report(try await recovery())
    }

    private func worker() async throws(CommandFailure) -> BenchProcess {
        let worker = try stage.start(arguments)
        for program in programs {
            worker.send(.prepare(program))
            try await worker.await(.ready)
        }
        return worker
    }

    private func result(
        _ measure: BenchResult.Measure, _ processes: Int, _ figures: (BenchOrder.Program) -> BenchFigures?
    ) throws(CommandFailure) -> BenchResult {
        guard let ours = figures(.mqlock) else {
            throw CommandFailure(
                status: ExitStatus.internalError, message: "nothing was measured of \(measure.rawValue)")
        }
        return BenchResult(
            mutex: contestant.name, measure: measure, processes: processes, mqlock: ours,
            raw: figures(.raw))
    }

    // MARK: Uncontended

    private func uncontended() async throws(CommandFailure) -> BenchResult {
        let worker = try await worker()
        worker.send(.cycles(options.cycles, withRaw: programs.contains(.raw)))
        var samples: [BenchOrder.Program: BenchSample] = [:]
        while true {
            let answer = try await worker.answer()
            if answer == .done { break }
            guard case .times(let program, let times) = answer else { throw worker.misunderstood(answer) }
            samples[program, default: .init()].add(times)
        }
        stage.kill(worker)
        return try result(.uncontended, 1) { program in
            guard let sample = samples[program], !sample.durations.isEmpty else { return nil }
            let total = sample.durations.reduce(0, +)
            return BenchFigures(sample, perSecond: Double(sample.durations.count) * 1e9 / Double(total))
        }
    }

    // MARK: Hand-over

    /// Latency with holders that hold for a while, so that the next is in line; the rate with holders that do not.
    private func handOvers(between workers: [BenchProcess]) async throws(CommandFailure) -> BenchResult {
        var samples: [BenchOrder.Program: BenchSample] = [:]
        var rates: [BenchOrder.Program: [Double]] = [:]
        let count = max(2, (options.handOvers + Self.rounds * workers.count - 1) / (Self.rounds * workers.count))
        for _ in 0..<Self.rounds {
            for program in programs {
                let slow = try await turns(of: workers, program, count, holding: Self.hold)
                samples[program, default: .init()].add(slow.handOvers)
                let fast = try await turns(of: workers, program, count, holding: 0)
                if let rate = fast.handOversPerSecond { rates[program, default: []].append(rate) }
            }
        }
        return try result(.handOver, workers.count) { program in
            let rates = rates[program] ?? []
            let mean = rates.isEmpty ? nil : rates.reduce(0, +) / Double(rates.count)
            return samples[program].flatMap { BenchFigures($0, perSecond: mean) }
        }
    }

    private func turns(
        of workers: [BenchProcess], _ program: BenchOrder.Program, _ count: Int, holding hold: Int
    ) async throws(CommandFailure) -> BenchTurns {
        for worker in workers { worker.send(.turns(program, count, microseconds: hold)) }
        var all: [BenchTurns.Turn] = []
        for worker in workers {
            while true {
                let answer = try await worker.answer()
                if answer == .done { break }
                guard case .turns(let instants) = answer, instants.count % 2 == 0 else {
                    throw worker.misunderstood(answer)
                }
                all += stride(from: 0, to: instants.count, by: 2).map {
                    BenchTurns.Turn(process: worker.number, granted: instants[$0], released: instants[$0 + 1])
                }
            }
        }
        let turns = BenchTurns(all)
        guard turns.overlaps == 0 else {
            throw CommandFailure(
                status: ExitStatus.internalError,
                message: """
                    \(turns.overlaps) times two processes held a lock of \(contestant.name) at once \
                    (\(program == .raw ? "raw librabbitmq" : "MQLock"))
                    """)
        }
        return turns
    }

    // MARK: Recovery

    private func recovery() async throws(CommandFailure) -> BenchResult {
        var samples: [BenchOrder.Program: BenchSample] = [:]
        var holders: [BenchOrder.Program: BenchProcess] = [:]
        for _ in 0..<options.kills {
            for program in programs {
                let holder: BenchProcess
                if let last = holders[program] { holder = last } else { holder = try await self.holder(program) }
                let (next, duration) = try await handOver(of: holder, program)
                samples[program, default: .init()].add([duration])
                holders[program] = next
            }
        }
        for holder in holders.values { stage.kill(holder) }
        return try result(.recovery, 2) { program in samples[program].flatMap { BenchFigures($0) } }
    }

    /// Kills the holder, and returns the next one and how long it took to become it.
    private func handOver(
        of holder: BenchProcess, _ program: BenchOrder.Program
    ) async throws(CommandFailure) -> (BenchProcess, UInt64) {
        let next = try await worker()
        next.send(.hold(program))
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

    private func holder(_ program: BenchOrder.Program) async throws(CommandFailure) -> BenchProcess {
        let worker = try await worker()
        worker.send(.hold(program))
        _ = try await grant(of: worker)
        return worker
    }

    private func grant(of worker: BenchProcess) async throws(CommandFailure) -> UInt64 {
        let answer = try await worker.answer()
        guard case .granted(let instant) = answer else { throw worker.misunderstood(answer) }
        return instant
    }
}
