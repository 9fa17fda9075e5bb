import Foundation
import MQLock

/// A `TortureWorker`, the lines that it writes, and the signals that tests send it.
final class WorkerProcess: Sendable {
    private let process: Process
    private let log = LineLog()
    private let input: FileHandle
    private let ended = OneShot<Void>()

    /// Beside the test program that runs us.
    private static var program: URL {
        URL(fileURLWithPath: (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "")
            .deletingLastPathComponent().appendingPathComponent("TortureWorker")
    }

    init(
        _ mode: String, _ uri: String, _ name: some CustomStringConvertible, _ mutex: String = "token",
        environment: [String: String] = [:]
    ) throws {
        process = Process()
        process.executableURL = Self.program
        process.arguments = [mode, uri, "\(name)", mutex]
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        let (standardInput, standardOutput) = (Pipe(), Pipe())
        input = standardInput.fileHandleForWriting
        keepFromChildren(input)
        process.standardInput = standardInput
        process.standardOutput = standardOutput
        process.terminationHandler = { [ended] _ in ended.fulfil(()) }
        try process.run()
        log.read(standardOutput.fileHandleForReading)
    }

    /// It would end with its standard input; this is quicker, and works on a stopped one.
    deinit { signal(SIGKILL) }

    var pid: Int32 { process.processIdentifier }

    func signal(_ number: Int32) { if process.isRunning { kill(process.processIdentifier, number) } }

    /// Kills it; returns the instant just before.
    @discardableResult
    func killNow() async throws -> Int64 {
        let instant = Boot.now
        signal(SIGKILL)
        try await end()
        return instant
    }

    /// Waits until it has ended.
    func end(within limit: Duration = .seconds(20)) async throws {
        try await ended.value(within: limit, "the worker's end")
    }

    /// Waits until it has ended; its exit status, or 128 and the signal's number. Foundation traps when it is asked earlier.
    func status() async throws -> Int32 {
        try await end()
        return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    }

    func tell(_ line: String) { try? input.write(contentsOf: Data("\(line)\n".utf8)) }

    var lines: [[String]] { log.lines }

    /// The first line that begins with this word, as words; nil when the process ends without one.
    func lineOrEnd(_ word: String, after count: Int) async throws -> [String]? {
        let first = OneShot<[String]?>()
        Task { [self] in first.fulfil(try? await line(word, after: count, within: .seconds(120))) }
        Task { [self] in
            try? await end(within: .seconds(120))
            first.fulfil(nil)
        }
        return try await first.value(within: .seconds(130), "a line that begins with \(word), or the worker's end")
    }

    /// The first line that begins with this word, as words; of the past, or to come.
    func line(_ word: String, after count: Int = 0, within limit: Duration = .seconds(60)) async throws -> [String] {
        try await log.line(word, after: count, within: limit)
    }
}

/// What a process writes.
final class LineLog: Sendable {
    private struct Storage {
        var lines: [[String]] = []
        var waiters: [(word: String, found: OneShot<[String]>)] = []
    }

    private let storage = Locked(Storage())

    var lines: [[String]] { storage.withLock { $0.lines } }

    func read(_ handle: FileHandle) {
        let descriptor = handle.fileDescriptor
        Thread.detachNewThread { [self] in
            // The handle closes the descriptor when it goes.
            withExtendedLifetime(handle) {
                var rest: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 65536)
                while true {
                    let count = Foundation.read(descriptor, &buffer, buffer.count)
                    guard count > 0 else { return }
                    rest += buffer[..<count]
                    while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                        append(String(decoding: rest[..<end], as: UTF8.self))
                        rest.removeSubrange(...end)
                    }
                }
            }
        }
    }

    private func append(_ line: String) {
        let words = line.split(separator: " ").map(String.init)
        let found = storage.withLock { storage in
            storage.lines.append(words)
            let found = storage.waiters.filter { $0.word == words.first || words.first == "failed" }
            storage.waiters.removeAll { $0.word == words.first || words.first == "failed" }
            return found
        }
        for waiter in found { waiter.found.fulfil(words) }
    }

    func line(_ word: String, after count: Int, within limit: Duration) async throws -> [String] {
        let found = OneShot<[String]>()
        storage.withLock { storage in
            if let line = storage.lines.dropFirst(count).first(where: { $0.first == word || $0.first == "failed" }) {
                found.fulfil(line)
            } else {
                storage.waiters.append((word, found))
            }
        }
        let words = try await found.value(within: limit, "a line that begins with \(word)")
        guard words.first == word else {
            throw Overdue(what: "\(word); got \(words.joined(separator: " "))", limit: .zero)
        }
        return words
    }
}

/// A child that inherited the write end would keep another child's input open.
func keepFromChildren(_ handle: FileHandle) { _ = fcntl(handle.fileDescriptor, F_SETFD, FD_CLOEXEC) }
