import Foundation
import MQLock

/// A broker of this test program's own, so that stopping it disturbs no other suite.
///
/// `brokers/with` runs `cat` beside it, whose input we hold: however we end, `cat` ends, and the broker with it.
final class PrivateNode: Sendable {
    let broker: LiveBroker
    private let pidFile: String
    private let restartScript: String
    private let input: FileHandle
    private let process: Process

    /// Whether the environment says that brokers may be started here.
    static let isPossible = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ_RESTART"] != nil
    static let reason = "needs a broker to stop: unset MQLOCK_RABBITMQ and run brokers/with --rabbitmq -- swift test"

    private static let started = Locked<Task<PrivateNode, any Error>?>(nil)

    /// The one of this run, started when first asked for.
    static func shared() async throws -> PrivateNode {
        let task = started.withLock { started in
            if let started { return started }
            let task = Task { try await PrivateNode() }
            started = task
            return task
        }
        return try await task.value
    }

    private init() async throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../../..")
        process = Process()
        process.executableURL = root.appendingPathComponent("brokers/with").standardizedFileURL
        process.arguments = ["--rabbitmq", "--", "sh", "-c", "env | grep ^MQLOCK_; echo ready; exec cat"]
        process.environment = ProcessInfo.processInfo.environment.filter { !$0.key.hasPrefix("MQLOCK_") }
        let (standardInput, standardOutput) = (Pipe(), Pipe())
        input = standardInput.fileHandleForWriting
        keepFromChildren(input)
        process.standardInput = standardInput
        process.standardOutput = standardOutput
        let log = LineLog()
        try process.run()
        log.read(standardOutput.fileHandleForReading)
        _ = try await log.line("ready", after: 0, within: .seconds(120))
        var settings: [String: String] = [:]
        for line in log.lines {
            let parts = line.joined(separator: " ").split(separator: "=", maxSplits: 1).map(String.init)
            if parts.count == 2 { settings[parts[0]] = parts[1] }
        }
        guard let uri = settings["MQLOCK_RABBITMQ"], let pidFile = settings["MQLOCK_RABBITMQ_PIDFILE"],
            let restartScript = settings["MQLOCK_RABBITMQ_RESTART"]
        else { throw Overdue(what: "the settings of a private broker: \(log.lines)", limit: .zero) }
        broker = LiveBroker(uri: uri, control: settings["MQLOCK_RABBITMQ_CTL"])
        self.pidFile = pidFile
        self.restartScript = restartScript
    }

    var port: UInt16 { UInt16(broker.uri.split(separator: ":").last ?? "") ?? 0 }

    var pid: pid_t {
        let text = (try? String(contentsOfFile: pidFile, encoding: .utf8)) ?? ""
        return pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    }

    func signal(_ number: Int32) { if pid > 0 { kill(pid, number) } }

    /// Stops the node in good order and returns when it has gone.
    func stop() async throws { try await end(SIGTERM) }

    /// Kills the node, as a power cut would.
    func crash() async throws { try await end(SIGKILL) }

    private func end(_ number: Int32) async throws {
        let pid = pid
        guard pid > 0 else { return }
        kill(pid, number)
        // Not our child: nobody tells.
        try await eventually(within: .seconds(60), every: .milliseconds(20), "the end of the broker") {
            !Self.runs(pid)
        }
    }

    /// A zombie waits for its parent and serves nobody.
    private static func runs(_ pid: pid_t) -> Bool {
        guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return false }
        return stat.split(separator: ")").last?.split(separator: " ").first.map { $0 != "Z" } ?? false
    }

    /// Starts the node again, same ports and same data; stops it first if it runs.
    func start() async throws { try await Program.run(restartScript, []) }
}
