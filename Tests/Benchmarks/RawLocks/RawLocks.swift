import Foundation
import MQLockLineReader
import MQLockTesting

/// The frames of MQLock's mutexes, sent by librabbitmq, or the records of its log, by librdkafka, and nothing around it: what
/// an adapter over that library can be measured against. Started by `mqlock bench --beside`, as `RawLocks MUTEX QUEUE` with the broker in `MQLOCK_BROKER`.
@main
struct RawLocks {
    private let lock: any RawLock

    /// So many turns go into one line, so that the parent hears of us.
    private static let chunk = 200

    static func main() async {
        let arguments = CommandLine.arguments
        guard arguments.count == 3, let make = locks[arguments[1]] else {
            FileHandle.standardError.write(
                Data("usage: RawLocks sac|token|exclusive|log QUEUE, by mqlock bench\n".utf8))
            exit(64)
        }
        let uri = ProcessInfo.processInfo.environment["MQLOCK_BROKER"] ?? "amqp://127.0.0.1:5672"
        do {
            let worker = Self(lock: try make(uri, arguments[2]))
            for await line in standardInput {
                guard let order = RawOrder(line: line) else { exit(64) }
                try worker.obey(order)
            }
        } catch {
            answer("failed - \("\(error)".replacing("\n", with: " "))")
            exit(70)
        }
    }

    static var mutexes: [String] { locks.keys.sorted() }

    private static let locks: [String: @Sendable (_ uri: String, _ queue: String) throws -> any RawLock] = [
        "sac": { try RawSingleActiveConsumer(uri: $0, queue: $1) },
        "token": { try RawToken(uri: $0, queue: $1) },
        "exclusive": { try RawExclusiveQueue(uri: $0, queue: $1) },
        "log": { try RawLog(uri: $0, queue: $1) },
    ]

    /// When it ends the parent is gone, and so are we, whatever we are at.
    private static var standardInput: AsyncStream<String> {
        AsyncStream { continuation in
            Thread.detachNewThread {
                for line in LineReader() { continuation.yield(line) }
                _exit(0)
            }
        }
    }

    private static func answer(_ line: String) { FileHandle.standardOutput.write(Data("\(line)\n".utf8)) }

    private static func answer(_ word: String, _ numbers: [UInt64]) {
        answer("\(word) \(numbers.map(String.init).joined(separator: " "))")
    }

    private func obey(_ order: RawOrder) throws {
        switch order {
        case .make:
            try lock.make()
            Self.answer("ready")
        case .prepare: Self.answer("ready")
        case .cycles(let count):
            let times = try (0..<count).map { _ in
                let before = HistoryClock.now
                try lock.acquire()
                try lock.release()
                return HistoryClock.now - before
            }
            Self.answer("times", times)
            Self.answer("done")
        case .turns(let count, let hold):
            try turn(count, hold)
            Self.answer("done")
        case .hold:
            try lock.acquire()
            Self.answer("granted", [HistoryClock.now])
        case .usage: Self.answer("usage", [OwnUsage.processorTime, OwnUsage.memory])
        }
    }

    private func turn(_ count: Int, _ hold: UInt32) throws {
        for start in stride(from: 0, to: count, by: Self.chunk) {
            var instants: [UInt64] = []
            for _ in start..<min(count, start + Self.chunk) {
                try lock.acquire()
                instants.append(HistoryClock.now)
                if hold > 0 { usleep(hold) }
                instants.append(HistoryClock.now)
                try lock.release()
            }
            Self.answer("turns", instants)
        }
    }
}

/// A lock of one name, for one contender. It is connected when it has been made.
protocol RawLock {
    /// Makes its queue, with a free lock in it.
    func make() throws
    func acquire() throws
    func release() throws
}

/// What the director orders: the lines of `BenchOrder`.
enum RawOrder: Equatable {
    case make, prepare, hold, usage
    case cycles(Int)
    case turns(Int, microseconds: UInt32)

    init?(line: String) {
        let words = line.split(separator: " ")
        let numbers = words.dropFirst().compactMap { Int($0) }
        guard numbers.count == words.count - 1 else { return nil }
        switch (words.first, numbers.count) {
        case ("make", 0): self = .make
        case ("prepare", 0): self = .prepare
        case ("hold", 0): self = .hold
        case ("usage", 0): self = .usage
        case ("cycles", 1): self = .cycles(numbers[0])
        case ("turns", 2): self = .turns(numbers[0], microseconds: UInt32(clamping: numbers[1]))
        default: return nil
        }
    }
}
