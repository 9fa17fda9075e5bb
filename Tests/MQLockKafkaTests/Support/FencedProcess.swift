import Foundation
import MQLock
import Testing

@testable import MQLockKafka

/// A `FencedWorker` that runs: an owner that stops itself within its transaction.
final class FencedProcess: Sendable {
    private let pid: pid_t
    private let output: URL

    init(
        _ broker: LiveKafka, topic: String, session: Duration, transaction: Duration, output topicOfOutput: String,
        stopsBefore step: String, isFenced: Bool = true
    ) throws {
        let program = URL(filePath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
            .deletingLastPathComponent().appending(path: "FencedWorker").path
        output = FileManager.default.temporaryDirectory.appending(path: "\(topic).worker")
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 1, output.path, O_WRONLY | O_CREAT | O_APPEND, 0o600)
        func milliseconds(_ duration: Duration) -> String { "\(duration.nanoseconds / 1_000_000)" }
        let arguments = [
            program, broker.brokers.joined(separator: ","), topic, milliseconds(session), milliseconds(transaction),
            topicOfOutput, step, isFenced ? "fenced" : "unfenced",
        ]
        var argv = arguments.map { strdup($0) } + [nil]
        defer { for argument in argv { free(argument) } }
        var pid: pid_t = 0
        let status = posix_spawn(&pid, program, &actions, nil, &argv, environ)
        try #require(status == 0, "\(program): \(String(cString: strerror(status)))")
        self.pid = pid
    }

    deinit {
        kill(pid, SIGKILL)
        waitpid(pid, nil, 0)
        try? FileManager.default.removeItem(at: output)
    }

    /// What it has said so far.
    var lines: [String] {
        (try? String(contentsOf: output, encoding: .utf8))?.split(separator: "\n").map(String.init) ?? []
    }

    /// Waits until it has stopped itself; the token that it owned by.
    func stopped() async throws -> FencingToken {
        try await eventually("the owner to stop itself") {
            var status: Int32 = 0
            // As WIFSTOPPED, which Swift does not import.
            return waitpid(pid, &status, WUNTRACED | WNOHANG) == pid && status & 0xff == 0x7f
        }
        let owned = try #require(lines.first { $0.hasPrefix("owned ") })
        return try #require(FencingToken(owned.dropFirst("owned ".count)))
    }

    /// Lets it go on; what it then says of its transaction.
    func goOn() async throws -> String {
        kill(pid, SIGCONT)
        try await eventually("the owner's outcome") { lines.contains { $0 == "committed" || $0.hasPrefix("refused") } }
        return try #require(lines.last)
    }
}
