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
        let files = try BenchFiles(options)
        if let program = options.beside, access(program, X_OK) != 0 {
            throw CommandFailure.usage(
                "--beside: cannot start \(program.escapedForDisplay): \(Platform.message(errno))", "bench")
        }
        let target = try BenchTarget(broker, options)
        let header = BenchReport.Header(
            version: Mqlock.version, system: target.system, broker: target.version, address: target.address,
            session: target.session?.seconds, beside: options.beside.map { URL(fileURLWithPath: $0).lastPathComponent },
            mutexes: target.mutexes, cycles: options.cycles, handOvers: options.handOvers, kills: options.kills,
            processes: options.processes, parts: options.parts.map(\.rawValue))
        output.standardOutput(options.isJSON ? BenchReport.json(header) : BenchReport.text(header))
        let run = String(UInt64.random(in: 0 ... .max), radix: 16)
        var measurements: [BenchMeasurement] = []
        for mutex in target.mutexes {
            let lock = try LockName("mqlock-bench/\(run)/\(mutex)")
            let rawQueue = "mqlock-bench-raw/\(run)/\(mutex)"
            let names = options.parts.contains(.firstUse) ? options.names : 0
            stage.willMake(try target.queues(of: lock, numbered: names, rawQueue))
            let director = BenchDirector(mutex, options, on: stage, lock: lock, rawQueue: rawQueue)
            try await director.measure { measurement in
                measurements.append(measurement)
                let result = measurement.result
                output.standardOutput(options.isJSON ? BenchReport.json(result) : BenchReport.text(result))
            }
        }
        compare(measurements.map(\.result), files, options, output)
        let title = "mqlock \(header.version) on \(header.system) \(header.broker ?? "") at \(header.address)"
        try files.write(
            BenchReport.json(header) + measurements.map { BenchReport.json($0.result) }.joined(),
            BenchPicture(title: title, measurements))
        if options.isJSON { output.standardOutput(BenchReport.json(finishedAfter: start.duration(to: .now))) }
    }

    private static func compare(
        _ results: [BenchResult], _ files: BenchFiles, _ options: BenchOptions, _ output: Output
    ) {
        guard let earlier = files.earlier, let path = options.compared else { return }
        if !options.isJSON { output.standardOutput(BenchReport.text(comparingWith: path)) }
        for comparison in BenchComparison.all(results, to: earlier) {
            output.standardOutput(options.isJSON ? BenchReport.json(comparison) : BenchReport.text(comparison))
        }
    }
}

extension Result where Failure == any Error {
    /// What the body returns or throws.
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
