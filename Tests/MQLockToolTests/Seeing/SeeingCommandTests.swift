import Foundation
import MQLock
import MQLockRabbitMQ
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

enum SeeingFixtures {
    static let credentials = RabbitMQInspector.Credentials(user: "guest", password: "guest", vhost: "/")
}

/// The built command against a real broker.
@Suite(
    "mqlock show, observe, break", .serialized, .timeLimit(.minutes(3)), .enabled(if: Broker.uri != nil, Broker.reason))
struct SeeingCommandTests {
    /// No other test, and no other run of the tests, uses it.
    private let name = "seeing-\(UUID().uuidString)"

    private func start(_ arguments: [String], heartbeat: Int? = nil) throws -> TestProcess {
        let uri = try heartbeat.map { seconds in
            try Broker.changed { $0.queryItems = [URLQueryItem(name: "heartbeat", value: String(seconds))] }
        }
        return try TestProcess(
            TestProcess.mqlock, ["mqlock"] + arguments,
            environment: ["MQLOCK_BROKER": try uri ?? required(Broker.uri), "MQLOCK_MANAGEMENT": ""])
    }

    /// One that holds until it is told to stop, and says when it does hold.
    private func hold(_ mutex: String, owner: String, heartbeat: Int? = nil) throws -> TestProcess {
        let script = "echo $MQLOCK_FENCE; exec sleep 600"
        return try start(
            ["run", name, "--mutex", mutex, "--owner", owner, "-v", "--", "sh", "-c", script], heartbeat: heartbeat)
    }

    private func objects(_ text: String) throws -> [[String: Any]] {
        try text.split(separator: "\n").map { line in
            try required(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
    }

    /// What `show` says, as soon as it sees that many: contenders begin to listen a moment after they have begun.
    private func seen(holders: Int, waiters: Int) async throws -> [[String: Any]] {
        for _ in 0..<100 {
            let result = await (try start(["show", name, "--json"])).result()
            let objects = try objects(result.output)
            let lock = try required(objects.first)
            guard lock["holders"] as? Int == holders, lock["waiters"] as? Int == waiters else { continue }
            #expect(result.status == (holders > 0 ? 0 : 1))
            return objects
        }
        throw TestFailure("\(holders) holders and \(waiters) waiters were never seen")
    }

    /// The first of these lines that has this in it.
    private func line(_ reader: PipeReader, with texts: [String]) async throws -> String {
        while let line = await reader.line() { if texts.contains(where: line.contains) { return line } }
        throw TestFailure("no line with any of \(texts) came")
    }

    private func isGranted(_ process: TestProcess) async -> Bool {
        await process.output.line().flatMap { FencingToken($0) } != nil
    }

    @Test("show: free, held with a waiter, the texts of others escaped")
    func show() async throws {
        let free = await (try start(["show", name])).result()
        #expect(free.status == 1)
        #expect(free.output.contains("free"))
        let holder = try hold("sac", owner: "holder \u{1b}[31m")
        let fence = await holder.output.line()
        let waiter = try hold("sac", owner: "waiter")
        let objects = try await seen(holders: 1, waiters: 1)
        #expect(objects[0]["state"] as? String == "held")
        #expect(objects[1]["event"] as? String == "holder")
        #expect(objects[1]["owner"] as? String == "holder \u{1b}[31m")
        #expect(objects[1]["fence"] as? String == fence)
        #expect(objects[1]["pid"] as? Int == Int(holder.pid))
        #expect(objects[2]["event"] as? String == "waiter")
        #expect(objects[2]["owner"] as? String == "waiter")
        let text = await (try start(["show", name])).result()
        #expect(text.status == 0)
        #expect(try text.output.contains(required(fence)))
        #expect(text.output.contains("holder \\u{1b}[31m"))
        #expect(!text.output.contains("\u{1b}"))
        for process in [holder, waiter] {
            if process.pid == waiter.pid { #expect(await isGranted(waiter)) }
            process.send(SIGTERM)
            #expect(await process.ended().exitStatus == 143)
        }
    }

    @Test("observe: granted, a killed holder's loss and its successor, released; ends with 0 on TERM and INT")
    func observe() async throws {
        let observer = try start(["observe", name])
        let ended = try start(["observe", name, "--json"])
        let holder = try hold("sac", owner: "first", heartbeat: 1)
        // Killed before it was seen to hold, it would never be seen to lose.
        _ = try await line(observer.output, with: ["granted first", "held first"])
        let waiter = try hold("sac", owner: "second", heartbeat: 1)
        _ = try await line(observer.output, with: ["waiting second"])
        holder.send(SIGKILL)
        // What different sessions say may overtake each other.
        var missing = ["lost first", "granted second"]
        while !missing.isEmpty {
            let line = try await line(observer.output, with: missing)
            missing.removeAll { line.contains($0) }
        }
        #expect(await isGranted(waiter))
        waiter.send(SIGTERM)
        _ = try await line(observer.output, with: ["released second"])
        let event = try await line(ended.output, with: ["\"released\""])
        #expect(try objects(event).first?["owner"] as? String == "second")
        observer.send(SIGTERM)
        ended.send(SIGINT)
        #expect(await observer.ended().exitStatus == 0)
        #expect(await ended.ended().exitStatus == 0)
        #expect(await holder.ended().signal == SIGKILL)
        #expect(await waiter.ended().exitStatus == 143)
    }

    @Test("break: refused without --yes; the holder ends with 123, asked to yield; the waiter is granted")
    func breaking() async throws {
        let holder = try hold("token", owner: "first")
        #expect(await isGranted(holder))
        let waiter = try hold("token", owner: "second")
        _ = try await seen(holders: 1, waiters: 1)
        let unconfirmed = await (try start(["break", name])).result()
        #expect(unconfirmed.status == 64)
        #expect(unconfirmed.output.contains("first"))
        #expect(unconfirmed.errors.contains("--yes"))
        let broken = await (try start(["break", name, "--yes"])).result()
        #expect(broken.status == 0, "\(broken.errors)")
        #expect(await isGranted(waiter))
        let status = await holder.ended().exitStatus
        #expect(status == 123)
        #expect(await holder.errors.rest().contains("asked to yield"))
        waiter.send(SIGTERM)
        #expect(await waiter.ended().exitStatus == 143)
        let free = await (try start(["break", name, "--yes"])).result()
        #expect(free.status == 1)
    }

    @Test("break of a stopped holder refuses and says which commands do it", arguments: ["sac", "token"])
    func stopped(mutex: String) async throws {
        let holder = try hold(mutex, owner: "stopped", heartbeat: 60)
        #expect(await isGranted(holder))
        _ = try await seen(holders: 1, waiters: 0)
        holder.send(SIGSTOP)
        let shown = await (try start(["show", name, "--json", "-w", "500ms"])).result()
        #expect(shown.status == 1)
        #expect(try objects(shown.output).first?["state"] as? String == "silent")
        let broken = await (try start(["break", name, "--yes", "-w", "500ms"])).result()
        #expect(broken.status == 1)
        #expect(broken.errors.contains("rabbitmqctl close_connection"))
        #expect(broken.errors.contains(name))
        holder.send(SIGCONT)
        // It was stopped for a moment only: it has lost nothing.
        _ = try await seen(holders: 1, waiters: 0)
        holder.send(SIGTERM)
        #expect(await holder.ended().exitStatus == 143)
    }

    @Test(
        "break of a stopped holder by the management API",
        .enabled(if: Management.isThere, "needs the plugin rabbitmq_management and a broker of brokers/with"))
    func management() async throws {
        let url = try await Management.start()
        let holder = try hold("sac", owner: "stopped", heartbeat: 60)
        #expect(await isGranted(holder))
        let waiter = try hold("sac", owner: "second")
        _ = try await seen(holders: 1, waiters: 1)
        holder.send(SIGSTOP)
        let arguments = ["break", name, "--yes", "-w", "500ms", "--management", url]
        let broken = await (try start(arguments)).result()
        #expect(broken.status == 0, "\(broken.errors)")
        #expect(broken.output.contains("stopped locks"))
        #expect(await isGranted(waiter))
        holder.send(SIGCONT)
        #expect(await holder.ended().exitStatus == 123)
        waiter.send(SIGTERM)
        #expect(await waiter.ended().exitStatus == 143)
        try await Management.stop()
    }

    @Test("no broker: 69; a wrong password: 77")
    func unreachable() async throws {
        let port = try Broker.changed { $0.port = 1 }
        let result = try await TestProcess.run(["show", name, "--broker", port])
        #expect(result.status == 69)
        let password = try Broker.changed { $0.password = "wrong-secret" }
        for command in [["show"], ["observe"], ["break", "--yes"]] {
            let refused = try await TestProcess.run(command + [name, "--broker", password])
            #expect(refused.status == 77)
            #expect(!(refused.output + refused.errors).contains("wrong-secret"))
        }
    }
}

/// The broker's management API, for as long as a test needs it.
private enum Management {
    private static let control = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ_CTL"]
    private static let plugin = "rabbitmq_management"

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

    /// Starts it on a free port; returns its URL.
    static func start() async throws -> String {
        let port = Int.random(in: 12_000..<20_000)
        let listener = """
            application:set_env(rabbitmq_management, listener, [{port,\(port)},{ip,"127.0.0.1"}], [{persistent,true}]).
            """
        try await run(required(control), ["-q", "eval", listener])
        try await run(required(plugins), ["-q", "enable", plugin])
        return "http://127.0.0.1:\(port)"
    }

    static func stop() async throws { try await run(required(plugins), ["-q", "disable", plugin]) }

    private static func run(_ path: String, _ arguments: [String]) async throws {
        let result = await (try TestProcess(path, [path] + arguments)).result()
        guard result.status == 0 else { throw TestFailure(result.output + result.errors) }
    }
}
