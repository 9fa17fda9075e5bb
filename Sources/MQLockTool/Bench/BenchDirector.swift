import Foundation
import MQLock
import MQLockTesting

/// Measures one mutex by giving orders to worker processes.
struct BenchDirector {
    /// Whose processes are measured.
    enum Program: CaseIterable {
        case raw, mqlock
    }

    /// One of RabbitMQ's, or that of Kafka's log.
    let mutex: String
    let options: BenchOptions
    let stage: BenchStage
    /// The worker's operands.
    private let arguments: [Program: [String]]
    private let programs: [Program]

    /// How long a holder keeps the lock when hand-overs are timed: long enough for the others to stand in line.
    private static let hold = 4000
    /// How long after a waiter's start its holder is killed, for the same reason.
    private static let settling = Duration.milliseconds(100)
    /// How often raw and ours take turns, so that a machine that drifts slows both.
    private static let rounds = 4
    /// The cycles of one turn without contention, and those before the first turn, which are not measured.
    private static let (turn, warmUp) = (50, 20)

    init(
        _ mutex: String, _ options: BenchOptions, on stage: BenchStage, lock: LockName, rawQueue: String
    ) {
        (self.mutex, self.options, self.stage) = (mutex, options, stage)
        var arguments = [Program.mqlock: [mutex, lock.string]]
        arguments[.raw] = options.beside.map { [mutex, rawQueue, $0] }
        self.arguments = arguments
        programs = Program.allCases.filter { arguments[$0] != nil }
    }

    /// - Parameter report: called with each result as it comes.
    func measure(_ report: (BenchResult) -> Void) async throws {
        report(try await uncontended())
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
        report(try await recovery())
    }

    private func worker(_ program: Program, makes: Bool = false) async throws(CommandFailure) -> BenchProcess {
        let worker = try stage.start(arguments[program] ?? [])
        for order in makes ? [.make, .prepare] : [BenchOrder.prepare] {
            worker.send(order)
            try await worker.await(.ready)
        }
        return worker
    }

    private func result(
        _ measure: BenchResult.Measure, _ processes: Int, _ figures: (Program) -> BenchFigures?
    ) throws(CommandFailure) -> BenchResult {
        guard let ours = figures(.mqlock) else {
            throw CommandFailure(
                status: ExitStatus.internalError, message: "nothing was measured of \(measure.rawValue)")
        }
        return BenchResult(
            mutex: mutex, measure: measure, processes: processes, mqlock: ours, raw: figures(.raw))
    }

    // MARK: Uncontended

    private func uncontended() async throws(CommandFailure) -> BenchResult {
        var workers: [Program: BenchProcess] = [:]
        for program in programs { workers[program] = try await worker(program, makes: true) }
        for (_, worker) in inOrder(workers) { _ = try await cycles(Self.warmUp, of: worker) }
        var samples: [Program: BenchSample] = [:]
        for start in stride(from: 0, to: options.cycles, by: Self.turn) {
            for (program, worker) in inOrder(workers) {
                let count = min(Self.turn, options.cycles - start)
                samples[program, default: .init()].add(try await cycles(count, of: worker))
            }
        }
        for worker in workers.values { stage.kill(worker) }
        return try result(.uncontended, 1) { program in
            samples[program].flatMap { BenchFigures($0, perSecond: $0.perSecond) }
        }
    }

    private func cycles(_ count: Int, of worker: BenchProcess) async throws(CommandFailure) -> [UInt64] {
        worker.send(.cycles(count))
        var all: [UInt64] = []
        while true {
            switch try await worker.answer() {
            case .times(let times): all += times
            case .done: return all
            case let answer: throw worker.misunderstood(answer)
            }
        }
    }

    /// The programs in the order of their turns.
    private func inOrder<Value>(_ values: [Program: Value]) -> [(Program, Value)] {
        programs.compactMap { program in values[program].map { (program, $0) } }
    }

    // MARK: Hand-over

    /// Latency with holders that hold for a while, so that the next is in line. The rate with holders that do not.
    private func handOvers(between workers: [Program: [BenchProcess]]) async throws(CommandFailure) -> BenchResult {
        var samples: [Program: BenchSample] = [:]
        var rates: [Program: [Double]] = [:]
        let processes = workers[.mqlock]?.count ?? 0
        let count = max(2, (options.handOvers + Self.rounds * processes - 1) / (Self.rounds * processes))
        for _ in 0..<Self.rounds {
            for (program, workers) in inOrder(workers) {
                let slow = try await turns(of: workers, program, count, holding: Self.hold)
                samples[program, default: .init()].add(slow.handOvers)
                let fast = try await turns(of: workers, program, count, holding: 0)
                if let rate = fast.handOversPerSecond { rates[program, default: []].append(rate) }
            }
        }
        return try result(.handOver, processes) { program in
            let rates = rates[program] ?? []
            let mean = rates.isEmpty ? nil : rates.reduce(0, +) / Double(rates.count)
            return samples[program].flatMap { BenchFigures($0, perSecond: mean) }
        }
    }

    private func turns(
        of workers: [BenchProcess], _ program: Program, _ count: Int, holding hold: Int
    ) async throws(CommandFailure) -> BenchTurns {
        for worker in workers { worker.send(.turns(count, microseconds: hold)) }
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
                    \(turns.overlaps) times two processes held a lock of \(mutex) at once \
                    (\(program == .raw ? options.beside ?? "" : "MQLock"))
                    """)
        }
        return turns
    }

    // MARK: Recovery

    private func recovery() async throws(CommandFailure) -> BenchResult {
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
        return try result(.recovery, 2) { program in samples[program].flatMap { BenchFigures($0) } }
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
