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
    let arguments: [Program: [String]]
    let programs: [Program]

    /// How often raw and ours take turns, so that a machine that drifts slows both.
    static let rounds = 4

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
    func measure(_ report: (BenchMeasurement) -> Void) async throws {
        var makers: [Program: BenchProcess] = [:]
        for program in programs { makers[program] = try await worker(program, makes: true) }
        if options.parts.contains(.uncontended) { report(try await uncontended(makers)) }
        for worker in makers.values { stage.kill(worker) }
        if options.parts.contains(.handOver) { try await handOvers(report) }
        if options.parts.contains(.tasks) { try await tasks(report) }
        if options.parts.contains(.firstUse) { try await firstUse(report) }
        // The lease of a lock in Kafka's log does not end with a connection.
        if options.parts.contains(.loss), mutex != BenchOptions.log { report(try await losses()) }
        if options.parts.contains(.recovery) { report(try await recovery()) }
    }

    // MARK: Workers

    func worker(_ program: Program, makes: Bool = false) async throws(CommandFailure) -> BenchProcess {
        let worker = try stage.start(arguments[program] ?? [])
        for order in makes ? [.make, .prepare] : [BenchOrder.prepare] {
            worker.send(order)
            try await worker.await(.ready)
        }
        return worker
    }

    /// The durations that a worker answers this order with.
    func times(_ order: BenchOrder, of worker: BenchProcess) async throws(CommandFailure) -> [UInt64] {
        worker.send(order)
        return try await answers(of: worker) { if case .times(let times) = $0 { times } else { nil } }
    }

    /// What a worker answers, in any number of lines, until it is done.
    /// - Parameter pick: what a line has; nil when it answers something else.
    func answers<Value>(
        of worker: BenchProcess, _ pick: (BenchAnswer) -> [Value]?
    ) async throws(CommandFailure) -> [Value] {
        var all: [Value] = []
        while true {
            let answer = try await worker.answer()
            if answer == .done { return all }
            guard let values = pick(answer) else { throw worker.misunderstood(answer) }
            all += values
        }
    }

    /// Processor time in nanoseconds, and bytes of memory.
    func usage(of worker: BenchProcess) async throws(CommandFailure) -> (cpu: UInt64, memory: UInt64) {
        worker.send(.usage)
        let answer = try await worker.answer()
        guard case .usage(let cpu, let memory) = answer else { throw worker.misunderstood(answer) }
        return (cpu, memory)
    }

    /// The processor time that these have used, in nanoseconds.
    func processorTime(of workers: [BenchProcess]) async throws(CommandFailure) -> Double {
        var sum = 0.0
        for worker in workers { sum += Double(try await usage(of: worker).cpu) }
        return sum
    }

    /// The programs in the order of their turns.
    func inOrder<Value>(_ values: [Program: Value]) -> [(Program, Value)] {
        programs.compactMap { program in values[program].map { (program, $0) } }
    }

    // MARK: Results

    func measurement(
        _ measure: BenchResult.Measure, processes: Int, tasks: Int? = nil, _ samples: [Program: BenchSample],
        _ figures: (Program, BenchSample) -> BenchFigures? = { BenchFigures($1) }
    ) throws(CommandFailure) -> BenchMeasurement {
        guard let ours = samples[.mqlock].flatMap({ figures(.mqlock, $0) }) else {
            throw CommandFailure(
                status: ExitStatus.internalError, message: "nothing was measured of \(measure.rawValue)")
        }
        return BenchMeasurement(
            result: BenchResult(
                mutex: mutex, measure: measure, processes: processes, tasks: tasks, mqlock: ours,
                raw: samples[.raw].flatMap { figures(.raw, $0) }),
            mqlock: samples[.mqlock] ?? BenchSample(), raw: samples[.raw])
    }

    /// Turns in which no two held the lock at once.
    func checked(_ turns: [BenchTurns.Turn], _ program: Program) throws(CommandFailure) -> BenchTurns {
        let turns = BenchTurns(turns)
        guard turns.overlaps == 0 else {
            throw CommandFailure(
                status: ExitStatus.internalError,
                message: """
                    \(turns.overlaps) times two contenders held a lock of \(mutex) at once \
                    (\(program == .raw ? options.beside ?? "" : "MQLock"))
                    """)
        }
        return turns
    }
}

/// A result with the durations that it was made from.
struct BenchMeasurement {
    let result: BenchResult
    let mqlock: BenchSample
    let raw: BenchSample?
}
