import Foundation
import MQLock
import MQLockRabbitMQ
import MQLockTesting

/// A process that does what `mqlock bench` orders it to: `mqlock bench-worker MUTEX LOCK RAW-QUEUE`. The broker's URI, which
/// may hold a password, comes in `MQLOCK_BROKER`.
final class BenchWorker {
    private let contestant: BenchContestant
    private let lock: LockName
    private let rawQueue: String
    private let uri = ProcessInfo.processInfo.environment[BrokerSource.variable] ?? BrokerSource.defaultURI
    private var connected: [BenchOrder.Program: any BenchLock] = [:]

    /// So many cycles go into one line, so that the parent hears of us.
    private static let chunk = 200

    private init?(_ arguments: [String]) {
        guard arguments.count == 3, let contestant = BenchContestant.named(arguments[0]),
            let lock = try? LockName(arguments[1])
        else { return nil }
        (self.contestant, self.lock, rawQueue) = (contestant, lock, arguments[2])
    }

    /// - Returns: the exit status. The process also ends when the parent does.
    static func run(_ arguments: [String]) async -> Int32 {
        guard let worker = BenchWorker(arguments) else {
            Output.process.standardError("mqlock: bench-worker is started by mqlock bench only\n")
            return ExitStatus.usage
        }
        do {
            for await line in standardInput {
                guard let order = BenchOrder(line: line) else { return ExitStatus.usage }
                try await worker.obey(order)
            }
            return ExitStatus.success
        } catch let error as LockError {
            answer(.failed(code: error.code.description, message: error.message))
        } catch {
            answer(.failed(code: "", message: "\(error)"))
        }
        return ExitStatus.internalError
    }

    /// When it ends the parent is gone, and so are we, whatever we are at.
    private static var standardInput: AsyncStream<String> {
        AsyncStream { continuation in
            Thread.detachNewThread {
                while let line = readLine() { continuation.yield(line) }
                _exit(0)
            }
        }
    }

    private static func answer(_ answer: BenchAnswer) { Platform.writeAll("\(answer.line)\n".utf8, to: 1) }

    private func obey(_ order: BenchOrder) async throws {
        switch order {
        case .prepare(let program):
            try await connect(program).warmUp()
            Self.answer(.ready)
        case .cycles(let count, let withRaw):
            try await cycle(count, withRaw ? [.raw, .mqlock] : [.mqlock])
            Self.answer(.done)
        case .turns(let program, let count, let hold):
            try await turn(connect(program), count, .microseconds(hold))
            Self.answer(.done)
        case .hold(let program):
            try await connect(program).acquire()
            Self.answer(.granted(HistoryClock.now))
        }
    }

    private func connect(_ program: BenchOrder.Program) throws -> any BenchLock {
        if let lock = connected[program] { return lock }
        let lock: any BenchLock
        switch program {
        case .raw: lock = try contestant.raw(uri, rawQueue)
        case .mqlock:
            var configuration = RabbitMQLocks.Configuration(uri: uri, mutex: contestant.mutex)
            // Whatever the URI says.
            configuration.durability = contestant.durability
            configuration.startupTimeout = .seconds(5)
            lock = ProviderLock(try RabbitMQLocks(configuration), self.lock)
        }
        connected[program] = lock
        return lock
    }

    private func cycle(_ count: Int, _ programs: [BenchOrder.Program]) async throws {
        let locks = try programs.map { ($0, try connect($0)) }
        for start in stride(from: 0, to: count, by: Self.chunk) {
            var times = Array(repeating: [UInt64](), count: locks.count)
            for _ in start..<min(count, start + Self.chunk) {
                for (index, lock) in locks.enumerated() {
                    let before = HistoryClock.now
                    try await lock.1.acquire()
                    try await lock.1.release()
                    times[index].append(HistoryClock.now - before)
                }
            }
            for (index, lock) in locks.enumerated() { Self.answer(.times(lock.0, times[index])) }
        }
    }

    private func turn(_ lock: any BenchLock, _ count: Int, _ hold: Duration) async throws {
        for start in stride(from: 0, to: count, by: Self.chunk) {
            var instants: [UInt64] = []
            for _ in start..<min(count, start + Self.chunk) {
                try await lock.acquire()
                instants.append(HistoryClock.now)
                if hold > .zero { try await Task.sleep(for: hold) }
                instants.append(HistoryClock.now)
                try await lock.release()
            }
            Self.answer(.turns(instants))
        }
    }
}
