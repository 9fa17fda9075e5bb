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

/// The broker's management API: started for the first test that needs it, and there until the broker ends.
enum Management {
    private static let control = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ_CTL"]
    private static let plugin = "rabbitmq_management"

    static let reason: Comment = "needs the plugin rabbitmq_management and a broker of brokers/with"

    private static var plugins: String? {
        control.map {
            URL(fileURLWithPath: $0).deletingLastPathComponent().appendingPathComponent("rabbitmq-plugins").path
        }
    }

    static var isThere: Bool {
        guard let plugins, access(plugins, X_OK) == 0 else { return false }
        let folders = [
            "/usr/lib/rabbitmq/lib", "/opt/homebrew/opt/rabbitmq/plugins", "/usr/local/opt/rabbitmq/plugins",
        ]
        return folders.contains { folder in
            FileManager.default.enumerator(atPath: folder)?.contains {
                ($0 as? String)?.split(separator: "/").last?.hasPrefix("\(plugin)-") == true
            } == true
        }
    }

    private static let starting = Task { try await start() }

    /// Where it answers.
    static func url() async throws -> String { try await starting.value }

    /// Starts it on a free port; it may still run on that of an earlier run beside the same broker.
    private static func start() async throws -> String {
        let port = Int.random(in: 12_000..<20_000)
        let listener = """
            application:set_env(rabbitmq_management, listener, [{port,\(port)},{ip,"127.0.0.1"}], [{persistent,true}]).
            """
        try await run(required(control), ["-q", "eval", listener])
        for verb in ["disable", "enable"] { try await run(required(plugins), ["-q", verb, plugin]) }
        return "http://127.0.0.1:\(port)"
    }

    @discardableResult
    private static func run(_ path: String, _ arguments: [String]) async throws -> String {
        let result = await (try TestProcess(path, [path] + arguments)).result()
        guard result.status == 0 else { throw TestFailure(result.output + result.errors) }
        return result.output
    }

    /// rabbitmqctl of the broker.
    @discardableResult
    static func ctl(_ arguments: String...) async throws -> String { try await run(required(control), arguments) }

    /// Does what `break` advises, as an operator would: by the broker's word alone.
    /// - Returns: what the client has said about the connection that is found.
    static func connection(byCommands text: String) async throws -> String? {
        let lines = text.split(separator: "\n").map { $0.drop { $0 == " " } }.filter { $0.hasPrefix("rabbitmqctl") }
        func shell(_ line: String) async throws -> [[Substring]] {
            // Not to be found in a path: the test's broker is another than the machine's.
            let script = "rabbitmqctl() { '\(try required(control))' \"$@\"; }; \(line)"
            return try await run("/bin/sh", ["-c", script]).split(separator: "\n").map {
                $0.split(separator: "\t", omittingEmptySubsequences: false)
            }
        }
        let (queues, consumers, channels) = (String(lines[0]), String(lines[1]), String(lines[2]))
        let properties = try await ctl("-q", "list_connections", "pid", "client_properties")
        func client(_ pid: Substring) throws -> String {
            try required(properties.split(separator: "\n").first { $0.hasPrefix("\(pid)\t") }.map(String.init))
        }
        for owner in try await shell(queues) where owner.last?.isEmpty == false { return try client(owner[1]) }
        for consumer in try await shell(consumers) {
            // Single active, or one of several of which each counts as active.
            guard consumer[2] == "true" else { continue }
            let line = channels.replacing("CHANNEL", with: "'\(consumer[1])'")
            for channel in try await shell(line) where channel[2] != "0" { return try client(channel[0]) }
        }
        return nil
    }
}

/// Asks again and again until there is an answer; a test's time limit is the end.
func eventually<Value>(_ what: String, _ ask: () async throws -> Value?) async throws -> Value {
    for _ in 0..<600 {
        if let value = try await ask() { return value }
        try await Task.sleep(for: .milliseconds(100))
    }
    throw TestFailure("\(what) never came")
}
