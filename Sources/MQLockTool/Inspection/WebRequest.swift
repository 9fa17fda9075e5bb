import Dispatch
import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// A request by HTTP or HTTPS, made by the program curl.
///
/// Only operators' commands ask the management API, and they send a password, so they use TLS. curl knows TLS, proxies
/// and the system's authorities. Foundation on Linux has curl's library. But with that `mqlock` would need two dozen
/// more libraries wherever it runs, and could not be linked statically.
struct WebRequest: Sendable {
    let method: String
    let url: String
    var headers: [(name: String, value: String)] = []
    /// For how many seconds no data may come.
    var patience = 10
    /// How many bytes an answer may have.
    var limit = 64 << 20

    struct Answer: Equatable, Sendable {
        let status: Int
        let body: [UInt8]
    }

    /// The input of curl. The headers contain a password, so it is on no command line.
    var configuration: String {
        let headers = headers.map { "header = \(Self.quoted("\($0.name): \($0.value)"))\n" }.joined()
        return """
            silent
            show-error
            globoff
            proto = "=http,https"
            url = \(Self.quoted(url))
            request = \(Self.quoted(method))
            connect-timeout = \(patience)
            speed-limit = 1
            speed-time = \(patience)
            write-out = "\\n%{http_code}"
            \(headers)
            """
    }

    private static func quoted(_ text: String) -> String {
        // A line feed would begin another setting.
        let line = text.filter { !$0.isNewline && $0 != "\0" }
        return "\"" + line.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }

    /// - Throws: `unreachable` with curl's own message; `internalError` for an answer that is too long; `cancelled`.
    func answer() async throws(LockError) -> Answer {
        guard let curl = try? CommandLookup.resolve("curl", searchPath: getenv("PATH").map { String(cString: $0) })
        else {
            throw LockError(
                .unreachable, "the management API is asked by the program curl, which is not there: install curl")
        }
        let process = try CurlProcess(curl, configuration)
        let limit = limit
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                // Blocks a thread that is not one of the language's few.
                DispatchQueue.global().async { continuation.resume(returning: process.outcome(limit: limit)) }
            }
        } onCancel: {
            process.kill()
        }
        guard !Task.isCancelled else {
            throw LockError(.cancelled, "the question to the management API was cancelled")
        }
        guard !outcome.isTooLong else {
            throw LockError(.internalError, "the management API's answer is too long")
        }
        guard outcome.status == 0, let end = outcome.output.lastIndex(of: UInt8(ascii: "\n")),
            let status = Int(String(decoding: outcome.output[(end + 1)...], as: UTF8.self))
        else {
            let words = outcome.errors.split(whereSeparator: \.isNewline).joined(separator: "; ").escapedForDisplay
            throw LockError(
                .unreachable,
                "the management API cannot be reached: \(words.isEmpty ? "curl ended with \(outcome.status)" : words)")
        }
        return Answer(status: status, body: Array(outcome.output[..<end]))
    }
}

/// One process of curl, from its start to its end.
private final class CurlProcess: Sendable {
    struct Outcome: Sendable {
        var status: Int32 = -1
        var output: [UInt8] = []
        var errors = ""
        var isTooLong = false
    }

    private let pid: pid_t
    private let output: Int32
    private let errors: Int32
    /// Whether the process has been waited for, so that its id may belong to another process.
    private let isCollected = Locked(false)

    init(_ path: String, _ configuration: String) throws(LockError) {
        // It has to fit into a pipe, because it is written before anybody reads. No reader can be gone by then.
        guard configuration.utf8.count < 32 << 10 else {
            throw LockError(.invalidConfiguration, "the management URL is too long")
        }
        let pipes = (0..<3).compactMap { _ in Spawn.pipe() }
        let ends = pipes.flatMap { [$0.reading, $0.writing] }
        guard pipes.count == 3 else {
            closeAll(ends)
            throw LockError(.internalError, "no pipes for curl: \(Platform.message(errno))")
        }
        Platform.writeAll(configuration.utf8, to: pipes[0].writing)
        let spawn = Spawn(
            // -q first: no settings of the user's.
            path: path, arguments: Spawn.strings(["curl", "-q", "--config", "-"]),
            environment: Spawn.environment(overriding: [:]),
            standard: [0: pipes[0].reading, 1: pipes[1].writing, 2: pipes[2].writing])
        pid = spawn()
        (output, errors) = (pipes[1].reading, pipes[2].reading)
        closeAll(ends.filter { $0 != pipes[1].reading && $0 != pipes[2].reading })
        guard pid > 0 else {
            closeAll([output, errors])
            throw LockError(.internalError, "curl cannot be started: \(Platform.message(-pid))")
        }
    }

    func kill() {
        isCollected.withLock { isCollected in
            if !isCollected { endProcess(pid) }
        }
    }

    /// Blocks until curl has ended. Call it once.
    func outcome(limit: Int) -> Outcome {
        var outcome = Outcome()
        outcome.isTooLong = !readAll(output, limit: limit) { outcome.output += $0 }
        if outcome.isTooLong { kill() }
        var words: [UInt8] = []
        _ = readAll(errors, limit: 4096) { words += $0 }
        outcome.errors = String(decoding: words, as: UTF8.self)
        closeAll([output, errors])
        var info = siginfo_t()
        _ = Platform.retrying { waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) }
        outcome.status = isCollected.withLock { isCollected in
            var status: Int32 = 0
            _ = Platform.retrying { waitpid(pid, &status, 0) }
            isCollected = true
            return WaitStatus(status).exitStatus
        }
        return outcome
    }
}

/// - Returns: false when there was more than that.
private func readAll(_ descriptor: Int32, limit: Int, _ take: (ArraySlice<UInt8>) -> Void) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 1 << 16)
    var total = 0
    while true {
        let count = Platform.retrying { read(descriptor, &buffer, buffer.count) }
        guard count > 0 else { return true }
        total += count
        guard total <= limit else { return false }
        take(buffer.prefix(count))
    }
}

private func closeAll(_ descriptors: [Int32]) { for descriptor in descriptors { close(descriptor) } }

private func endProcess(_ pid: pid_t) { kill(pid, SIGKILL) }
