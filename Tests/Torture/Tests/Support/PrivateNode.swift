import Foundation
import MQLock

/// A broker of this test program's own, so that stopping it disturbs no other suite.
final class PrivateNode: Sendable {
    let broker: LiveBroker
    private let pidFile: String
    private let restartScript: String
    private let data: URL
    private let run: BrokerRun

    /// Whether the environment says that brokers may be started here.
    static let isPossible = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ_RESTART"] != nil
    static let reason = "needs a broker to stop: unset MQLOCK_RABBITMQ and run brokers/with --rabbitmq -- swift test"

    private enum Use { case torture, patience }

    private static let started = Locked<[Use: Task<PrivateNode, any Error>]>([:])

    /// The one of ``TortureTests``, started when first asked for.
    static func shared() async throws -> PrivateNode { try await node(for: .torture) }

    /// The one of ``PatientTortureTests``, started when first asked for.
    static func ofPatience() async throws -> PrivateNode { try await node(for: .patience) }

    private static func node(for use: Use) async throws -> PrivateNode {
        let task = started.withLock { started in
            if let task = started[use] { return task }
            let task = Task { try await PrivateNode.alone() }
            started[use] = task
            return task
        }
        return try await task.value
    }

    /// A new one, which knows of no other; it ends when nobody has it any more.
    static func alone() async throws -> PrivateNode {
        let run = try await BrokerRun([])
        return try PrivateNode(
            uri: run["MQLOCK_RABBITMQ"], control: run["MQLOCK_RABBITMQ_CTL"], pidFile: run["MQLOCK_RABBITMQ_PIDFILE"],
            restart: run["MQLOCK_RABBITMQ_RESTART"], data: run.data(), run)
    }

    /// The nodes of a new cluster; it ends when nobody has any of them any more.
    static func cluster(_ count: Int) async throws -> [PrivateNode] {
        let run = try await BrokerRun(["--cluster", "\(count)"])
        return try (1...count).map { number in
            let folder = "\(try run["MQLOCK_RABBITMQ_CLUSTER"])/\(number)"
            let uri = try String(contentsOfFile: "\(folder)/uri", encoding: .utf8)
            return try PrivateNode(
                uri: uri.trimmingCharacters(in: .whitespacesAndNewlines), control: "\(folder)/rabbitmqctl",
                pidFile: "\(folder)/beam.pid", restart: "\(folder)/restart", data: run.data(), run)
        }
    }

    private init(
        uri: String, control: String, pidFile: String, restart: String, data: URL, _ run: BrokerRun
    ) throws {
        broker = LiveBroker(uri: uri, control: control)
        (self.pidFile, restartScript, self.data, self.run) = (pidFile, restart, data, run)
    }

    var port: UInt16 { broker.port }

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

    /// Removes what the node had on disk; it must not run.
    func loseData() throws {
        for file in try FileManager.default.contentsOfDirectory(at: data, includingPropertiesForKeys: nil) {
            try FileManager.default.removeItem(at: file)
        }
    }

    /// Starts the node again, same ports and same data; stops it first if it runs.
    func start() async throws { try await Program.run(restartScript, []) }
}

/// `brokers/with` runs `cat` beside the brokers, whose input we hold: however we end, `cat` ends, and the brokers with it.
private final class BrokerRun: Sendable {
    private let input: FileHandle
    private let process: Process
    private let settings: [String: String]

    init(_ arguments: [String]) async throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../../../..")
        process = Process()
        process.executableURL = root.appendingPathComponent("brokers/with").standardizedFileURL
        process.arguments =
            ["--rabbitmq"] + arguments + ["--", "sh", "-c", "env | grep ^MQLOCK_; echo ready; exec cat"]
        let kept: Set = ["MQLOCK_RABBITMQ_VERSION", "MQLOCK_CACHE"]
        process.environment = ProcessInfo.processInfo.environment
            .filter { !$0.key.hasPrefix("MQLOCK_") || kept.contains($0.key) }
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
        self.settings = settings
    }

    /// One of the settings that `brokers/with` gives its command.
    subscript(name: String) -> String {
        get throws {
            guard let value = settings[name] else { throw Overdue(what: "\(name) of a private broker", limit: .zero) }
            return value
        }
    }

    /// Where the first node keeps its data.
    func data() throws -> URL {
        URL(fileURLWithPath: try self["MQLOCK_RABBITMQ_LOG"]).deletingLastPathComponent().appendingPathComponent("data")
    }
}
