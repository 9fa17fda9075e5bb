import Foundation
import MQLock
import MQLockRabbitMQ

/// One of two processes that pass a lock to and fro, and the parent's side of the pair.
enum Worker {
    /// Long enough for the other process to stand in line.
    private static let hold = Duration.milliseconds(4)

    /// Prints an instant at every grant (`G`) and just before every release (`R`).
    static func run(kind: String, lock: String, count: Int, uri: String) async throws {
        var lines: [String] = []
        if kind == "raw" {
            var raw = try RawToken(uri: uri, queue: lock)
            for _ in 0..<count {
                try raw.acquire()
                lines.append("G \(instant())")
                try await Task.sleep(for: hold)
                lines.append("R \(instant())")
                raw.release()
            }
        } else {
            let locks = try RabbitMQLocks(.init(uri: uri, mutex: .token))
            let name = try LockName(lock)
            for _ in 0..<count {
                let held = try await locks.acquire(name)
                lines.append("G \(instant())")
                try await Task.sleep(for: hold)
                lines.append("R \(instant())")
                try await held.release()
            }
            await locks.shutdown()
        }
        print(lines.joined(separator: "\n"))
    }

    /// Runs a pair and returns how long each release took to become the other's grant.
    static func pair(kind: String, lock: String, count: Int) throws -> Sample {
        let pipes = (0..<2).map { _ in Pipe() }
        let processes = try pipes.map { pipe in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: CommandLine.arguments[0])
            process.arguments = ["worker", kind, lock, String(count)]
            process.standardOutput = pipe
            try process.run()
            return process
        }
        var events: [(instant: Int64, worker: Int, isGrant: Bool)] = []
        for (worker, pipe) in pipes.enumerated() {
            let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
            for line in text.split(separator: "\n") {
                guard let instant = Int64(line.dropFirst(2)) else { continue }
                events.append((instant, worker, line.hasPrefix("G")))
            }
        }
        for process in processes { process.waitUntilExit() }
        events.sort { $0.instant < $1.instant }
        var sample = Sample()
        for (event, next) in zip(events, events.dropFirst())
        where !event.isGrant && next.isGrant && event.worker != next.worker {
            sample.add(.nanoseconds(next.instant - event.instant))
        }
        return sample
    }

    /// Nanoseconds of the clock that all processes of a machine share.
    private static func instant() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}
