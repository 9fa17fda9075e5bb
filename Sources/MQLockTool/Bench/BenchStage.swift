import Foundation
import MQLock
import MQLockRabbitMQ

/// The processes of a benchmark and what it leaves on the broker: all of it is removed at the end, however the run
/// ends.
final class BenchStage: Sendable {
    private struct Storage {
        var workers: [Int: BenchProcess] = [:]
        var started = 0
        var queues: [String] = []
        var isOver = false
    }

    private let broker: String
    private let storage = Locked(Storage())

    init(broker: String) { self.broker = broker }

    /// Whether the run has been ended. Failures after that do not count.
    var isOver: Bool { storage.withLock { $0.isOver } }

    /// Records queues to delete at the end; call it before they are created.
    func willMake(_ queues: [String]) { storage.withLock { $0.queues += queues } }

    func start(_ arguments: [String]) throws(CommandFailure) -> BenchProcess {
        let number = storage.withLock { storage in
            storage.started += 1
            return storage.started
        }
        let worker = try BenchProcess(number, arguments, broker: broker)
        let isOver = storage.withLock { storage in
            storage.workers[number] = worker
            return storage.isOver
        }
        if isOver { worker.kill() }
        return worker
    }

    /// Kills a worker and waits for its end.
    func kill(_ worker: BenchProcess) {
        worker.kill()
        storage.withLock { $0.workers[worker.number] = nil }
    }

    /// Ends all workers and deletes what they created on the broker. Only the first call does anything.
    /// - Parameter isInterrupted: whether workers may be busy.
    func end(isInterrupted: Bool) throws(LockError) {
        let (workers, queues): ([BenchProcess], [String]) = storage.withLock { storage in
            guard !storage.isOver else { return ([], []) }
            storage.isOver = true
            return (Array(storage.workers.values), storage.queues)
        }
        for worker in workers { worker.kill() }
        guard !queues.isEmpty else { return }
        let administration = try BrokerAdministration(uri: broker)
        try administration.delete(queues)
        guard isInterrupted else { return }
        // The broker may notice the last declaration of a killed worker only after our deletion.
        usleep(300_000)
        try administration.delete(queues)
    }
}

/// A worker process of the benchmark.
struct BenchProcess: Sendable {
    let number: Int
    private let process: ChildProcess
    private let answers: AsyncStream<BenchAnswer>
    private let lastNews = Locked(ContinuousClock.now)

    private static let patience = Duration.seconds(60)

    init(_ number: Int, _ arguments: [String], broker: String) throws(CommandFailure) {
        self.number = number
        let (answers, continuation) = AsyncStream.makeStream(of: BenchAnswer.self)
        self.answers = answers
        process = try ChildProcess(
            id: "worker \(number)", command: .benchWorker, arguments: arguments, broker: broker
        ) { [lastNews] output in
            lastNews.withLock { $0 = .now }
            switch output {
            case .line(let line): if let answer = BenchAnswer(line: line) { continuation.yield(answer) }
            case .ended: continuation.finish()
            }
        }
    }

    func send(_ order: BenchOrder) {
        lastNews.withLock { $0 = .now }
        process.send(order.line)
    }

    func kill() {
        process.end()
        process.close()
    }

    /// Kills the worker now; `kill` collects what is left of it.
    func die() { process.signal(SIGKILL) }

    /// The next answer. A worker that says nothing for a minute is killed, which ends the wait with an error.
    func answer() async throws(CommandFailure) -> BenchAnswer {
        let watch = Task { [process, lastNews] in
            while lastNews.withLock({ $0 }).duration(to: .now) < Self.patience {
                try await Task.sleep(for: .seconds(1))
            }
            process.signal(SIGKILL)
        }
        defer { watch.cancel() }
        var iterator = answers.makeAsyncIterator()
        switch await iterator.next() {
        case .failed(let code, let message)?: throw CommandFailure(code: code, message: message)
        case let answer?: return answer
        case nil:
            throw CommandFailure(
                status: ExitStatus.internalError,
                message: "a process of the benchmark ended or said nothing for \(Self.patience.readable)")
        }
    }

    /// Waits for `answer`, and for nothing else.
    func await(_ expected: BenchAnswer) async throws(CommandFailure) {
        let answer = try await answer()
        guard answer == expected else { throw misunderstood(answer) }
    }

    func misunderstood(_ answer: BenchAnswer) -> CommandFailure {
        CommandFailure(
            status: ExitStatus.internalError, message: "worker \(number) answered '\(answer.line.prefix(40))'")
    }
}
