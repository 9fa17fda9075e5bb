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

@Suite("Command line of elect")
struct ElectOptionsTests {
    private func parse(_ line: String) throws -> Invocation {
        try Invocation.parse(line.split(separator: " ").map(String.init))
    }

    @Test("what is understood")
    func understood() throws {
        var options = ElectOptions(run: RunOptions(name: "job", command: ["true", "-x"]))
        #expect(try parse("elect job -- true -x") == .elect(options))
        options.restart = true
        options.run.mutex = .token
        options.run.killAfter = .seconds(1)
        options.run.owner = "me"
        options.run.broker = .uri("kafka://h/t")
        let line = "elect job --restart --mutex token -k 1 --owner me --broker kafka://h/t -- true -x"
        #expect(try parse(line) == .elect(options))
        #expect(try parse("help elect") == .help(.elect))
    }

    @Test("what is refused", arguments: ["elect job", "elect -- true", "elect a b -- true", "elect job -w 1 -- true"])
    func refused(line: String) {
        let failure = #expect(throws: CommandFailure.self) { try parse(line) }
        #expect(failure?.status == 64)
    }
}

/// The built command against a real broker.
@Suite("mqlock elect", .serialized, .timeLimit(.minutes(3)), .enabled(if: Broker.uri != nil, Broker.reason))
struct ElectCommandTests {
    /// No other test, and no other run of the tests, uses it.
    private let name = "elect-\(UUID().uuidString)"

    private func start(_ options: [String] = [], _ script: String, heartbeat: Int = 5) throws -> TestProcess {
        let uri = try Broker.changed { $0.queryItems = [URLQueryItem(name: "heartbeat", value: String(heartbeat))] }
        return try TestProcess(
            TestProcess.mqlock, ["mqlock", "elect", name] + options + ["--", "sh", "-c", script],
            environment: ["MQLOCK_BROKER": uri])
    }

    private static let leads = "echo $MQLOCK_FENCE; exec sleep 600"

    private func token(_ process: TestProcess) async throws -> FencingToken {
        try required(try required(await process.output.line()).split(separator: " ").last.flatMap { FencingToken($0) })
    }

    @Test(
        "resigns and exits with the command's own status",
        arguments: [("exit 0", Int32(0)), ("exit 3", 3), ("kill -KILL $$", 137)])
    func statuses(script: String, status: Int32) async throws {
        let result = await (try start([], "echo $MQLOCK_MODE $MQLOCK_NAME; \(script)")).result()
        #expect(result.status == status)
        #expect(result.output == "leader \(name)\n")
        #expect(result.errors.isEmpty)
    }

    @Test("--restart: a command that fails is run again with a larger token, until it succeeds")
    func restart() async throws {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: file) }
        let script = "echo $MQLOCK_FENCE >>\(file); [ $(wc -l <\(file)) -ge 3 ]"
        let result = await (try start(["--restart", "--json"], script)).result()
        #expect(result.status == 0)
        let tokens = try String(contentsOfFile: file, encoding: .utf8).split(separator: "\n").compactMap {
            FencingToken($0)
        }
        #expect(tokens.count == 3)
        #expect(zip(tokens, tokens.dropFirst()).allSatisfy(<))
        let events = try result.errors.split(separator: "\n").map { line in
            try required(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
        let kinds = events.compactMap { $0["event"] as? String }
        #expect(kinds.count { $0 == "elected" } == 3)
        #expect(kinds.count { $0 == "resting" } == 2)
    }

    /// A leader that is killed leaves no command behind; `mqlock observe`, a third process, sees both leaders.
    @Test("a killed leader's command dies, another leads, observe tells of both")
    func killed() async throws {
        let observer = try TestProcess(
            TestProcess.mqlock, ["mqlock", "observe", name],
            environment: ["MQLOCK_BROKER": try required(Broker.uri)])
        let lifeline = try Lifeline()
        let first = try start(["--owner", "first"], lifeline.opening + "echo ready >&9; " + Self.leads)
        #expect(await lifeline.line() == "ready")
        lifeline.letGo()
        let token = try await token(first)
        try await line(observer, with: "first")
        let second = try start(["--owner", "second"], Self.leads)
        try await line(observer, with: "waiting second")
        first.send(SIGKILL)
        // The end of the pipe is the death of the command and of all that it started.
        #expect(await lifeline.line() == nil)
        #expect(try await self.token(second) > token)
        try await line(observer, with: "granted second")
        second.send(SIGTERM)
        #expect(await second.ended().exitStatus == 143)
        observer.send(SIGTERM)
        #expect(await observer.ended().exitStatus == 0)
        #expect(await first.ended().signal == SIGKILL)
    }

    private func line(_ process: TestProcess, with text: String) async throws {
        while let line = await process.output.line() { if line.contains(text) { return } }
        throw TestFailure("no line with \(text) came")
    }

    @Test("a leadership that is lost ends the command, and is campaigned for again")
    func lost() async throws {
        let leader = try start(["-v"], "trap 'echo told; exit 0' TERM; echo $MQLOCK_FENCE; sleep 600 & wait")
        let token = try await token(leader)
        var broken: Int32 = 1
        // A contender that is new may not be seen at once.
        for _ in 0..<100 where broken != 0 {
            broken = try await TestProcess.run(
                ["break", name, "--yes"], environment: ["MQLOCK_BROKER": required(Broker.uri)]
            ).status
        }
        #expect(broken == 0)
        #expect(await leader.output.line() == "told")
        #expect(try await self.token(leader) > token)
        leader.send(SIGTERM)
        #expect(await leader.output.line() == "told")
        #expect(await leader.ended().exitStatus == 0)
    }

    @Test("a signal ends the campaign with 128 + n, and the leader goes on")
    func signals() async throws {
        let leader = try start([], Self.leads)
        _ = try await token(leader)
        let candidate = try start(["--json"], Self.leads)
        while let line = await candidate.errors.line(), !line.contains("connected") {}
        candidate.send(SIGINT)
        #expect(await candidate.ended().exitStatus == 130)
        leader.send(SIGTERM)
        #expect(await leader.ended().exitStatus == 143)
    }

    @Test("what cannot be: no broker 69, no command 127, options of run that make no sense 64")
    func failures() async throws {
        let nowhere = try Broker.changed { $0.port = 1 }
        let unreachable = try await TestProcess.run(["elect", name, "--broker", nowhere, "--", "true"])
        #expect(unreachable.status == 69)
        #expect(try await TestProcess.run(["elect", name, "--", "/nonexistent"]).status == 127)
        #expect(try await TestProcess.run(["elect", "-n", name, "--", "true"]).status == 64)
        #expect(try await TestProcess.run(["elect", name]).status == 64)
    }
}

/// The same on Kafka, where the owner of a shard leads.
@Suite(
    "mqlock elect on Kafka", .serialized, .timeLimit(.minutes(3)),
    .enabled(
        if: ProcessInfo.processInfo.environment["MQLOCK_KAFKA_CTL"] != nil,
        "needs the embedded Kafka: brokers/with --kafka -- swift test"))
struct ElectKafkaTests {
    private static let isFullRun = ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1"

    @Test("the command runs under the leadership of a shard, and its status is ours")
    func leads() async throws {
        let topic = try await makeTopic()
        let first = await (try candidate(topic, "exit 3")).result()
        #expect(first.status == 3)
        #expect(first.output.split(separator: "\n").compactMap { FencingToken($0) }.count == 1)
    }

    @Test(
        "a killed leader's command dies, and another leads with a larger token",
        .enabled(if: isFullRun, "full: the embedded Kafka takes seconds for each member that comes or goes"))
    func killed() async throws {
        let topic = try await makeTopic()
        let first = try candidate(topic, "exec sleep 600")
        let token = try required(await first.output.line().flatMap { FencingToken($0) })
        first.send(SIGKILL)
        // To the end of its output: the command is dead.
        _ = await first.output.rest()
        let second = try candidate(topic, "exec sleep 600")
        #expect(try required(await second.output.line().flatMap { FencingToken($0) }) > token)
        second.send(SIGTERM)
        #expect(await second.ended().exitStatus == 143)
        #expect(await first.ended().signal == SIGKILL)
    }

    private func makeTopic() async throws -> String {
        let topic = "elect-\(UUID().uuidString)"
        let control = try required(ProcessInfo.processInfo.environment["MQLOCK_KAFKA_CTL"])
        #expect(await (try TestProcess(control, [control, "topic", "\(topic):1"])).ended().exitStatus == 0)
        return topic
    }

    private func candidate(_ topic: String, _ script: String) throws -> TestProcess {
        let brokers = try required(ProcessInfo.processInfo.environment["MQLOCK_KAFKA"])
        return try TestProcess(
            TestProcess.mqlock, ["mqlock", "elect", "relay", "--", "sh", "-c", "echo $MQLOCK_FENCE; \(script)"],
            environment: ["MQLOCK_BROKER": "kafka://\(brokers)/\(topic)?mutex=shards&session=6s"])
    }
}
