import Foundation
import MQLock
import Testing

/// A `LogWorker` that runs.
final class LogProcess: Sendable {
    let pid: pid_t
    private let input: Int32
    private let output: URL

    /// - Parameter words: the mode's own words, behind those that every mode has.
    init(_ mode: String, _ broker: LiveKafka, topic: String, ttl: Int, _ words: String...) throws {
        output = FileManager.default.temporaryDirectory.appending(path: "mqlock-log-\(UInt64.random(in: 0 ... .max))")
        let arguments = [mode, broker.brokers.joined(separator: ","), topic, "\(ttl)"] + words
        (pid, input) = try spawn(programBesideTests("LogWorker"), arguments, output: output.path)
    }

    deinit {
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
        close(input)
        try? FileManager.default.removeItem(at: output)
    }

    func signal(_ number: Int32) { kill(pid, number) }

    func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        _ = write(input, bytes, bytes.count)
    }

    /// What it has said so far.
    var lines: [String] {
        (try? String(contentsOf: output, encoding: .utf8))?.split(separator: "\n").map(String.init) ?? []
    }

    /// Waits for the first line with this first word, and tells the rest of it.
    func line(_ word: String) async throws -> String {
        var found: String?
        try await eventually("the line \(word) of a worker") {
            found = lines.first { $0 == word || $0.hasPrefix("\(word) ") }
            return found != nil
        }
        return String(found?.dropFirst(word.count + 1) ?? "")
    }

    /// As ``line(_:)``; nil when it has ended before.
    func lineOrEnd(_ word: String) async throws -> String? {
        var found: String?
        try await eventually("the line \(word) of a worker, or its end") {
            let hasEnded = hasEnded
            found = lines.first { $0.hasPrefix("\(word) ") }
            return found != nil || hasEnded
        }
        return found.map { String($0.dropFirst(word.count + 1)) }
    }

    private var hasEnded: Bool {
        var info = siginfo_t()
        return waitid(P_PID, id_t(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_signo == SIGCHLD
    }

    func token() async throws -> FencingToken { try #require(FencingToken(try await line("granted"))) }
}
