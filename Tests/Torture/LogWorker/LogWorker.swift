import Foundation
import MQLock
import MQLockKafka
import MQLockLineReader
import MQLockTesting

/// A process with locks on a Kafka log that tests can stop and kill; it ends with its standard input, so that none outlives
/// its test.
///
/// `LogWorker hold BROKERS TOPIC TTL NAME` acquires, and says `granted TOKEN`, `lost REASON`; told `release`, it does and
/// says `released`.
/// `LogWorker churn BROKERS TOPIC TTL HISTORY PROCESS COUNT` takes one of so many names after the other, and writes the
/// history down.
/// `LogWorker once BROKERS TOPIC TTL PARTITIONS JOURNAL` does jobs once for a period: see LogWorker+Once.swift.
/// `LogWorker crowd BROKERS TOPIC TTL COUNT WAIT` is so many sessions: see LogWorker+Crowd.swift.
/// TTL in milliseconds.
@main
struct LogWorker {
    static func main() async throws {
        let words = CommandLine.arguments.dropFirst().map { $0 }
        guard words.count >= 5, let ttl = Int(words[3]) else { return say("usage: see the source") }
        var connection = KafkaConnection(brokers: words[1].split(separator: ",").map(String.init))
        // For the mock, which answers a fetch only when its time is over.
        connection.properties["fetch.wait.max.ms"] = "2"
        var configuration = KafkaLocks.Configuration(connection: connection, topic: words[2])
        configuration.ttl = .milliseconds(ttl)
        if words[0] == "crowd" { configuration.connection.properties["fetch.wait.max.ms"] = words[5] }
        if words[0] == "once" { configuration.partitions = Int(words[4]) ?? 1 }
        let locks = try KafkaLocks(configuration)
        let (lines, input) = AsyncStream.makeStream(of: String.self)
        Thread.detachNewThread {
            for line in LineReader() { input.yield(line) }
            exit(0)
        }
        switch words[0] {
        case "hold": try await hold(locks, LockName(words[4]), lines)
        case "churn" where words.count == 7:
            try await churn(locks, history: words[4], process: words[5], names: words[6])
        case "crowd" where words.count == 6: try await crowd(configuration, count: Int(words[4]) ?? 1)
        case "once" where words.count == 6: try await once(locks, journal: words[5], lines)
        default: say("unknown \(words[0])")
        }
    }

    private static func hold(_ locks: KafkaLocks, _ name: LockName, _ lines: AsyncStream<String>) async throws {
        let held = try await locks.acquire(name)
        let lease = held.lease
        say("granted \(lease.fencingToken)")
        Task {
            for await state in lease.states { if case .lost(let reason) = state { say("lost \(reason.kind)") } }
        }
        for await line in lines where line == "release" { break }
        do {
            try await held.release()
            say("released")
        } catch {
            say("failed \(error.code)")
        }
        await locks.shutdown()
    }

    private static func churn(_ locks: KafkaLocks, history: String, process: String, names: String) async throws {
        let file = open(history, O_WRONLY | O_APPEND)
        guard file >= 0, let count = Int(names) else { return say("cannot append to \(history)") }
        let recorder = HistoryRecorder(process: process, appendingTo: file, keepsEvents: false)
        // Several at once, so that the log is busy.
        try await withThrowingTaskGroup(of: Void.self) { group in
            for contender in 0..<3 {
                group.addTask {
                    while true {
                        let name = try LockName("n\(Int.random(in: 0..<count))")
                        do {
                            try await recorder.withLock(name, of: locks, contender: "\(contender)") { _ in
                                try await Task.sleep(for: .milliseconds(Int.random(in: 0...20)))
                            }
                        } catch let error as LockError {
                            // A lost lock is what the test is about, and in the history.
                            if error.code != .lost { say("failed \(error.code)") }
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    static func say(_ line: String) {
        print(line)
        fflush(nil)
    }
}
