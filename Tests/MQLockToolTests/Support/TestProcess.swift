import Foundation

@testable import MQLockTool

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// A process under test with pipes in place of its output.
final class TestProcess: Sendable {
    let pid: pid_t
    /// What the process and everything it started write to stdout. Its end is their death.
    let output: PipeReader
    let errors: PipeReader

    /// - Parameters:
    ///   - arguments: the program's name first.
    ///   - inherited: descriptors that go through under their own numbers.
    init(
        _ path: String, _ arguments: [String], raw: Spawn.CStrings? = nil, environment: [String: String] = [:],
        inherited: [Int32] = []
    ) throws {
        Self.ignoreBrokenPipes
        let output = try required(Spawn.pipe())
        let errors = try required(Spawn.pipe())
        let spawn = Spawn(
            path: path, arguments: raw ?? Spawn.strings(arguments),
            environment: Spawn.environment(overriding: environment), inherited: inherited,
            standard: [1: output.writing, 2: errors.writing])
        pid = spawn()
        close(output.writing)
        close(errors.writing)
        guard pid > 0 else { throw TestFailure("cannot start \(path): \(pid)") }
        self.output = PipeReader(output.reading, of: pid)
        self.errors = PipeReader(errors.reading, of: pid)
    }

    /// As `mqlock run` itself: a guard may be gone when it is written to.
    static let ignoreBrokenPipes: Void = { _ = signal(SIGPIPE, SIG_IGN) }()

    /// The built command, in the folder of the test bundle.
    static let mqlock: String = {
        var folder = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
            .deletingLastPathComponent()
        for _ in 0..<6 {
            let candidate = folder.appendingPathComponent("mqlock").path
            if access(candidate, X_OK) == 0 { return candidate }
            folder.deleteLastPathComponent()
        }
        return "mqlock, which is not built"
    }()

    static func run(_ arguments: [String], environment: [String: String] = [:]) async throws -> Result {
        let process = try TestProcess(mqlock, ["mqlock"] + arguments, environment: environment)
        return await process.result()
    }

    struct Result {
        let status: Int32
        let output: String
        let errors: String
    }

    func send(_ signal: Int32) { kill(pid, signal) }

    /// Waits for the end. To be asked once.
    func ended() async -> WaitStatus {
        let pid = pid
        return await blocking(killing: pid) {
            var status: Int32 = 0
            _ = Platform.retrying { waitpid(pid, &status, 0) }
            return WaitStatus(status)
        }
    }

    func result() async -> Result {
        // Together: a process that has filled one pipe does not go on with the other.
        async let output = output.rest()
        async let errors = errors.rest()
        return await Result(status: ended().exitStatus, output: output, errors: errors)
    }
}

/// The reading end of a pipe, line by line.
final class PipeReader: @unchecked Sendable {
    private let descriptor: Int32
    private let process: pid_t?
    /// Touched by one reader at a time, as tests await one answer after the other.
    private var buffered: [UInt8] = []

    /// - Parameter process: whose output it is.
    init(_ descriptor: Int32, of process: pid_t? = nil) { (self.descriptor, self.process) = (descriptor, process) }

    deinit { close(descriptor) }

    /// The next line without its end; nil when nobody can write any more.
    func line() async -> String? {
        await blocking(killing: process) { [self] in
            while true {
                if let end = buffered.firstIndex(of: UInt8(ascii: "\n")) {
                    let line = String(decoding: buffered[..<end], as: UTF8.self)
                    buffered.removeSubrange(...end)
                    return line
                }
                guard fill() else { return nil }
            }
        }
    }

    /// Everything up to the end, which comes when the last holder of the other end is gone.
    func rest() async -> String { String(decoding: await restBytes(), as: UTF8.self) }

    func restBytes() async -> [UInt8] {
        await blocking(killing: process) { [self] in
            while fill() {}
            defer { buffered = [] }
            return buffered
        }
    }

    private func fill() -> Bool {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = Platform.retrying { read(descriptor, &bytes, bytes.count) }
        guard count > 0 else { return false }
        buffered += bytes.prefix(count)
        return true
    }
}

struct TestFailure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

/// Runs a call that blocks on a thread of its own, not on one of the language's few.
///
/// - Parameter process: what the call waits for: killed when the test's time is over, so that the call returns.
func blocking<Result: Sendable>(
    killing process: pid_t? = nil, _ body: @escaping @Sendable () -> Result
) async -> Result {
    await withTaskCancellationHandler {
        await withCheckedContinuation { continuation in
            Thread.detachNewThread { continuation.resume(returning: body()) }
        }
    } onCancel: {
        if let process { kill(process, SIGKILL) }
    }
}

func required<Value>(_ value: Value?) throws -> Value {
    guard let value else { throw TestFailure("nothing where something was needed") }
    return value
}
