import Foundation
import MQLock

/// `mqlock bench`: measures the mutexes on a broker, beside another program if there is one.
enum BenchCommand {
    /// Runs the benchmark to its end.
    /// - Returns: the exit status.
    static func run(_ options: BenchOptions, broker: String, _ output: Output) async -> Int32 {
        let stage = BenchStage(broker: broker)
        do {
            try TerminatingSignals.watch { signal in
                try? stage.end(isInterrupted: true)
                leave(ExitStatus.ended(bySignal: signal))
            }
            let result = await Result { try await measure(options, broker, stage, output) }
            // The signal's thread cleans up and exits.
            while stage.isOver { pause() }
            do throws(LockError) {
                try stage.end(isInterrupted: false)
            } catch {
                // If the run has failed too, report that failure.
                _ = try result.get()
                throw error
            }
            try result.get()
            return ExitStatus.success
        } catch let error as CommandFailure {
            output.standardError(error.text)
            return error.status
        } catch let error as LockError {
            output.standardError("mqlock: \(error.message)\n")
            return ExitStatus.of(error)
        } catch {
            output.standardError("mqlock: \("\(error)".escapedForDisplay)\n")
            return ExitStatus.internalError
        }
    }

    private static func measure(
        _ options: BenchOptions, _ broker: String, _ stage: BenchStage, _ output: Output
    ) async throws {
        let start = ContinuousClock.now
        if let program = options.beside, access(program, X_OK) != 0 {
            throw CommandFailure.usage(
                "--beside: cannot start \(program.escapedForDisplay): \(Platform.message(errno))", "bench")
        }
        let target = try BenchTarget(broker, options)
        let header = BenchReport.Header(
            version: Mqlock.version, system: target.system, broker: target.version, address: target.address,
            session: target.session?.seconds, beside: options.beside.map { URL(fileURLWithPath: $0).lastPathComponent },
            mutexes: target.mutexes, cycles: options.cycles, handOvers: options.handOvers, kills: options.kills,
            processes: options.processes)
        output.standardOutput(options.isJSON ? BenchReport.json(header) : BenchReport.text(header))
        let run = String(UInt64.random(in: 0 ... .max), radix: 16)
        for mutex in target.mutexes {
            let lock = try LockName("mqlock-bench/\(run)/\(mutex)")
            let rawQueue = "mqlock-bench-raw/\(run)/\(mutex)"
            stage.willMake(try target.queues(of: lock, rawQueue))
            let director = BenchDirector(mutex, options, on: stage, lock: lock, rawQueue: rawQueue)
            try await director.measure { result in
                output.standardOutput(options.isJSON ? BenchReport.json(result) : BenchReport.text(result))
            }
        }
        if options.isJSON { output.standardOutput(BenchReport.json(finishedAfter: start.duration(to: .now))) }
    }
}

extension Result where Failure == any Error {
    /// What the body returns or throws.
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
