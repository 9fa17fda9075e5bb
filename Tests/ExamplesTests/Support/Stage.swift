import Foundation
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

enum Broker {
    static let uri = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ"]
    static let reason: Comment = "needs a broker: brokers/with --rabbitmq -- swift test"
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Runs the built examples, and has what they say in the order in which it came.
final class Stage {
    /// A folder for what they write; removed in the end.
    let folder: String
    private var actors: [String: Actor] = [:]
    private let lines: AsyncStream<String>
    private let continuation: AsyncStream<String>.Continuation
    private(set) var seen: [String] = []

    private struct Actor {
        let pid: pid_t
        let input: Int32
    }

    init() throws {
        var template = Array((FileManager.default.temporaryDirectory.path + "/mqlock-examples-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else { throw TestFailure("mkdtemp") }
        folder = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        (lines, continuation) = AsyncStream.makeStream(of: String.self)
        _ = signal(SIGPIPE, SIG_IGN)
    }

    deinit {
        for actor in actors.values {
            kill(actor.pid, SIGKILL)
            var status: Int32 = 0
            waitpid(actor.pid, &status, 0)
            close(actor.input)
        }
        try? FileManager.default.removeItem(atPath: folder)
    }

    /// Starts a program.
    /// - Parameters:
    ///   - name: how the test calls it; the program's own `--name`, if it takes one.
    ///   - heartbeat: in seconds. With one, a stopped program loses what it has soon, and on a busy machine now and then
    ///     a running one, too.
    func start(_ name: String, _ program: String, _ arguments: [String], heartbeat: Int = 1) throws {
        guard let uri = Broker.uri, let input = Spawn.pipe(), let output = Spawn.pipe() else {
            throw TestFailure("no broker, or no pipes")
        }
        let spawn = Spawn(
            path: Self.build.appendingPathComponent(program).path, arguments: Spawn.strings([program] + arguments),
            environment: Spawn.environment(overriding: [
                "MQLOCK_BROKER": uri + (uri.contains("?") ? "&" : "?") + "heartbeat=\(heartbeat)"
            ]),
            standard: [0: input.reading, 1: output.writing])
        let pid = spawn()
        close(input.reading)
        close(output.writing)
        guard pid > 0 else { throw TestFailure("cannot start \(program): \(pid)") }
        actors[name] = Actor(pid: pid, input: input.writing)
        Thread.detachNewThread { [continuation] in
            var buffer: [UInt8] = []
            var chunk = [UInt8](repeating: 0, count: 4096)
            while case let count = Platform.retrying({ read(output.reading, &chunk, chunk.count) }), count > 0 {
                buffer += chunk.prefix(count)
                while let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                    continuation.yield(String(decoding: buffer[..<end], as: UTF8.self))
                    buffer.removeSubrange(...end)
                }
            }
            close(output.reading)
            continuation.yield("\(name) has ended")
        }
    }

    /// The next line that has all of the words, from where the last call stopped.
    func line(_ words: String...) async throws -> String {
        for await line in lines {
            seen.append(line)
            if words.allSatisfy(line.contains) { return line }
        }
        // Recorded, because what a test throws after its time limit is not shown.
        Issue.record("no line with \(words); there were:\n\(seen.joined(separator: "\n"))")
        throw TestFailure("no line with \(words)")
    }

    /// Awaits lines until `isEnough` says so of all that came.
    func lines(until isEnough: ([String]) -> Bool) async throws {
        while !isEnough(seen) { _ = try await line() }
    }

    func send(_ signal: Int32, to name: String) { if let actor = actors[name] { kill(actor.pid, signal) } }

    /// Lets a program that stands still go on, now and whenever it would again.
    func letGo(_ name: String) {
        let answers = [UInt8](repeating: UInt8(ascii: "\n"), count: 1000)
        if let actor = actors[name] { _ = write(actor.input, answers, answers.count) }
    }

    /// Waits for a program's end; its exit status, or 128 and the signal's number.
    func status(of name: String) async throws -> Int32 {
        guard let actor = actors.removeValue(forKey: name) else { throw TestFailure("no \(name)") }
        close(actor.input)
        return await withCheckedContinuation { continuation in
            Thread.detachNewThread {
                var status: Int32 = 0
                _ = Platform.retrying { waitpid(actor.pid, &status, 0) }
                continuation.resume(returning: WaitStatus(status).exitStatus)
            }
        }
    }

    /// The folder of the test bundle, or one above it.
    static let build: URL = {
        var folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
        for _ in 0..<6 {
            folder.deleteLastPathComponent()
            if access(folder.appendingPathComponent("NightlyReport").path, X_OK) == 0 { break }
        }
        return folder
    }()
}
