import Foundation
import MQLock
import MQLockLineReader
import MQLockRabbitMQ
import MQLockTesting

/// A process that obeys the orders of `mqlock bench`: `mqlock bench-worker MUTEX LOCK`. The broker's URI, which may
/// contain a password, comes in `MQLOCK_BROKER`.
///
/// `mqlock bench-worker MUTEX QUEUE PROGRAM` becomes that program, as `PROGRAM MUTEX QUEUE`.
final class BenchWorker {
    let locks: any LockProvider
    let name: LockName
    private var held: HeldLock?
    var collected: [KeptLock] = []

    /// How many turns go into one line, so that the parent hears from us.
    static let chunk = 200

    private init?(_ arguments: [String]) throws {
        guard arguments.count == 2, let name = try? LockName(arguments[1]) else { return nil }
        let mutex = RabbitMQLocks.Mutex.allCases.first { $0.description == arguments[0] }
        guard mutex != nil || arguments[0] == BenchOptions.log else { return nil }
        locks = try WorkerLocks(mutex: mutex ?? .singleActiveConsumer) {
            // `lose` cuts one session after the other, and the pauses before the next would grow.
            $0.backoff = .milliseconds(10) ... .milliseconds(50)
        }.provider
        self.name = name
    }

    /// - Returns: the exit status. The process also ends when the parent does.
    static func run(_ arguments: [String]) async -> Int32 {
        if arguments.count == 3 { return become(arguments[2], Array(arguments.prefix(2))) }
        do {
            guard let worker = try BenchWorker(arguments) else {
                Output.process.standardError("mqlock: bench-worker is started by mqlock bench only\n")
                return ExitStatus.usage
            }
            for await line in standardInput {
                guard let order = BenchOrder(line: line) else { return ExitStatus.usage }
                try await worker.obey(order)
            }
            return ExitStatus.success
        } catch let error as LockError {
            answer(.failed(code: error.code.description, message: error.message))
        } catch let failure as CommandFailure {
            Output.process.standardError(failure.text)
            return failure.status
        } catch {
            answer(.failed(code: "", message: "\(error)"))
        }
        return ExitStatus.internalError
    }

    /// Returns only when that fails.
    private static func become(_ program: String, _ arguments: [String]) -> Int32 {
        execv(program, Spawn.strings([program] + arguments))
        answer(.failed(code: "", message: CommandFailure.system("start", program).message))
        return ExitStatus.internalError
    }

    /// When it ends the parent is gone. Then this process ends too, whatever it is doing.
    private static var standardInput: AsyncStream<String> {
        AsyncStream { continuation in
            Thread.detachNewThread {
                for line in LineReader() { continuation.yield(line) }
                _exit(0)
            }
        }
    }

    static func answer(_ answer: BenchAnswer) { Platform.writeAll("\(answer.line)\n".utf8, to: 1) }

    private func obey(_ order: BenchOrder) async throws {
        switch order {
        case .make, .prepare:
            try await locks.tryAcquire(name)?.release()
            Self.answer(.ready)
        case .cycles(let count):
            try await cycle(count)
            Self.answer(.done)
        case .turns(let count, let hold):
            try await turn(count, .microseconds(hold))
            Self.answer(.done)
        case .hold:
            held = try await locks.acquire(name, within: nil)
            Self.answer(.granted(HistoryClock.now))
        case .usage: Self.answer(.usage(cpu: OwnUsage.processorTime, memory: OwnUsage.memory))
        case .tasks(let tasks, let count):
            try await contend(tasks, count)
            Self.answer(.done)
        case .collect(let count):
            try await collect(count)
            Self.answer(.done)
        case .drop:
            try await drop()
            Self.answer(.ready)
        case .lose(let count):
            try await lose(count)
            Self.answer(.done)
        }
    }

    private func cycle(_ count: Int) async throws {
        for start in stride(from: 0, to: count, by: Self.chunk) {
            var times: [UInt64] = []
            for _ in start..<min(count, start + Self.chunk) {
                let before = HistoryClock.now
                try await locks.acquire(name, within: nil).release()
                times.append(HistoryClock.now - before)
            }
            Self.answer(.times(times))
        }
    }

    private func turn(_ count: Int, _ hold: Duration) async throws {
        for start in stride(from: 0, to: count, by: Self.chunk) {
            var instants: [UInt64] = []
            for _ in start..<min(count, start + Self.chunk) {
                let held = try await locks.acquire(name, within: nil)
                instants.append(HistoryClock.now)
                if hold > .zero { try await Task.sleep(for: hold) }
                instants.append(HistoryClock.now)
                try await held.release()
            }
            Self.answer(.turns(instants))
        }
    }
}
