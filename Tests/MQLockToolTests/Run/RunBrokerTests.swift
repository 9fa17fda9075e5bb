import Foundation
import MQLock
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
    /// rabbitmqctl for its node.
    static let control = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ_CTL"]
    static let reason: Comment = "needs a broker: brokers/with --rabbitmq -- swift test"

    /// The broker's URI with another user, password, virtual host or query.
    static func changed(_ change: (inout URLComponents) -> Void) throws -> String {
        var components = try required(URLComponents(string: try required(uri)))
        change(&components)
        return try required(components.string)
    }
}

/// The built command against a real broker.
@Suite("mqlock run", .serialized, .timeLimit(.minutes(2)), .enabled(if: Broker.uri != nil, Broker.reason))
struct RunBrokerTests {
    /// No other test, and no other run of the tests, uses it.
    private let name = "tool-test-\(UUID().uuidString)"

    private func arguments(_ options: [String], _ command: [String]) -> [String] {
        ["run", name, "--mutex", "token"] + options + ["--"] + command
    }

    private func run(
        _ options: [String] = [], _ command: [String], broker: String? = nil, environment: [String: String] = [:]
    ) async throws -> TestProcess.Result {
        try await start(options, command, broker: broker, environment: environment).result()
    }

    private func start(
        _ options: [String] = [], _ command: [String], broker: String? = nil, environment: [String: String] = [:]
    ) throws -> TestProcess {
        var environment = environment
        environment["MQLOCK_BROKER"] = try broker ?? required(Broker.uri)
        return try TestProcess(
            TestProcess.mqlock, ["mqlock"] + arguments(options, command), environment: environment)
    }

    @Test("the command's own status", arguments: [("exit 0", Int32(0)), ("exit 3", 3), ("kill -KILL $$", 137)])
    func statuses(script: String, status: Int32) async throws {
        let result = try await run([], ["sh", "-c", script])
        #expect(result.status == status)
        #expect(result.errors.isEmpty)
    }

    private static let titles = [
        "sac": "single active consumer mutex (sac)", "token": "token mutex (token)",
        "exclusive": "exclusive queue mutex (exclusive)",
    ]

    /// While the first holds, and for the kinds that leave a queue behind, after it has ended too.
    @Test(
        "another mutex for the same name is refused with status 78, both named",
        arguments: [
            ("sac", "token"), ("sac", "exclusive"), ("token", "sac"), ("token", "exclusive"), ("exclusive", "sac"),
            ("exclusive", "token"),
        ])
    func anotherMutex(first: String, second: String) async throws {
        let environment = ["MQLOCK_BROKER": try required(Broker.uri)]
        func start(_ mutex: String, _ options: [String], _ command: [String]) throws -> TestProcess {
            try TestProcess(
                TestProcess.mqlock, ["mqlock", "run", name, "--mutex", mutex] + options + ["--"] + command,
                environment: environment)
        }
        let holder = try start(first, [], ["sh", "-c", "echo ready; trap 'exit 0' TERM; while :; do sleep 0.05; done"])
        #expect(await holder.output.line() == "ready")
        for options in [[], ["-n"], ["-w", "20s"]] {
            let result = try await start(second, options, ["echo", "ran"]).result()
            #expect(result.status == 78, "\(options)")
            #expect(result.output.isEmpty)
            for title in [Self.titles[first], Self.titles[second]] {
                #expect(result.errors.contains(try required(title)), "\(result.errors)")
            }
        }
        holder.send(SIGTERM)
        #expect(await holder.result().status == 0)
        if first != "exclusive" { #expect(try await start(second, [], ["true"]).result().status == 78) }
    }

    @Test("its environment overrides an outer one, its output is its own, and the fence grows")
    func environment() async throws {
        let outer = ["MQLOCK_FENCE": "outer", "MQLOCK_NAME": "outer", "MQLOCK_OWNER": "outer", "MQLOCK_MODE": "outer"]
        var last: FencingToken?
        for _ in 0..<3 {
            let result = try await run(
                ["--owner", "somebody"], ["sh", "-c", "echo $MQLOCK_NAME $MQLOCK_OWNER $MQLOCK_MODE $MQLOCK_FENCE"],
                environment: outer)
            let words = result.output.split(whereSeparator: \.isWhitespace).map(String.init)
            #expect(words.dropLast() == [name, "somebody", "exclusive"])
            let fence = try required(words.last.flatMap { FencingToken($0) })
            if let last { #expect(fence > last) }
            last = fence
        }
    }

    @Test("mqlock fence check, in the command, knows lock and token; what a former holder writes late is refused")
    func fence() async throws {
        let scratch = NSTemporaryDirectory() + "mqlock-fence-run-\(UUID())"
        try FileManager.default.createDirectory(atPath: scratch, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: scratch) }
        let check = "'\(TestProcess.mqlock)' fence check '\(scratch)/gate' -- sh -c \"echo $1 $MQLOCK_FENCE\" $1"
        let script = "set -- %; \(check); echo \"status $?\"; echo $MQLOCK_FENCE"
        let first = try await run([], ["sh", "-c", script.replacing("%", with: "first")])
        let second = try await run([], ["sh", "-c", script.replacing("%", with: "second")])
        let tokens = [first, second].map { $0.output.split(separator: "\n").last.map(String.init) ?? "" }
        #expect(first.output == "first \(tokens[0])\nstatus 0\n\(tokens[0])\n")
        #expect(second.output == "second \(tokens[1])\nstatus 0\n\(tokens[1])\n")
        // The first one's command was stopped before it wrote, say, and goes on now.
        let late = try await TestProcess.run(
            ["fence", "check", "\(scratch)/gate", "--", "echo", "late"],
            environment: ["MQLOCK_NAME": name, "MQLOCK_FENCE": tokens[0]])
        #expect((late.status, late.output) == (65, ""))
    }

    @Test("refusals of the broker")
    func refusals() async throws {
        let password = try Broker.changed { $0.password = "wrong-secret" }
        let refused = try await run(["-w", "20s"], ["true"], broker: password)
        #expect(refused.status == 77)
        #expect(!refused.errors.contains("wrong-secret"))
        let vhost = try Broker.changed { $0.path = "/no-such-vhost" }
        #expect(try await run(["-w", "20s"], ["true"], broker: vhost).status == 77)
    }

    @Test("a lock that is taken: -n, -w, -E; and free again when the holder has ended")
    func conflicts() async throws {
        let holder = try start([], ["sh", "-c", "echo ready; trap 'exit 0' TERM; while :; do sleep 0.05; done"])
        #expect(await holder.output.line() == "ready")
        let conflict = try await run(["-n"], ["echo", "ran"])
        #expect(conflict.status == 1)
        #expect(conflict.output.isEmpty)
        #expect(conflict.errors.contains("is taken"))
        let quiet = try await run(["-n", "-q"], ["echo", "ran"])
        #expect((quiet.status, quiet.output, quiet.errors) == (1, "", ""))
        let late = try await run(["-w", "2s", "-q"], ["true"])
        #expect((late.status, late.errors) == (1, ""))
        #expect(try await run(["-n", "-E", "9"], ["true"]).status == 9)
        // Long enough for a busy machine to reach the broker.
        #expect(try await run(["-w", "2s", "-E", "9"], ["true"]).status == 9)
        // A waiter that gives up by a signal leaves the line.
        let waiter = try start(["-v"], ["echo", "ran"])
        #expect(await waiter.errors.line()?.contains("waiting") == true)
        waiter.send(SIGINT)
        #expect(await waiter.result().status == 130)
        holder.send(SIGTERM)
        #expect(await holder.result().status == 0)
        #expect(try await run(["-w", "20s"], ["true"]).status == 0)
    }

    @Test("who holds a lock that is not obtained is said, and is the same as in JSON", arguments: ["-n", "-w700ms"])
    func holder(patience: String) async throws {
        let holder = try start(["--owner", "the holder"], ["sh", "-c", "echo ready; exec sleep 600"])
        #expect(await holder.output.line() == "ready")
        // It begins to listen a moment after it has the lock.
        _ = try await eventually("the holder to be named") {
            let result = try await run([patience], ["true"])
            return result.status == 1 && result.errors.contains("the holder; fencing token") ? true : nil
        }
        let told = try await run([patience, "--json"], ["true"]).errors
        let last = try JSONSerialization.jsonObject(with: Data(required(told.split(separator: "\n").last).utf8))
        #expect((last as? [String: Any])?["holder"] as? String == "the holder")
        holder.send(SIGTERM)
        #expect(await holder.ended().exitStatus == 143)
    }

    @Test(
        "the command does not get the broker's password unless asked, and never another broker",
        arguments: ["run", "elect"])
    func password(command: String) async throws {
        let management = "http://u:management-secret@h"
        func environment(_ options: [String], broker: String, _ script: String) async throws -> TestProcess.Result {
            try await TestProcess.run(
                [command, name] + options + ["--", "sh", "-c", script],
                environment: ["MQLOCK_BROKER": broker, "MQLOCK_MANAGEMENT": management])
        }
        let uri = try Broker.changed { _ in }
        // The test's own broker has no other user; what it is called is nothing that mqlock knows.
        let all = "env | grep -v ^MQLOCK_RABBITMQ"
        let kept = try await environment([], broker: uri, all)
        #expect(kept.status == 0)
        #expect(!kept.output.contains(uri) && !kept.output.contains("management-secret"))
        let passed = try await environment(["--pass-broker"], broker: uri, all)
        #expect(passed.output.contains("MQLOCK_BROKER=\(uri)\n"))
        #expect(passed.output.contains("MQLOCK_MANAGEMENT=\(management)\n"))
        // One without a password is no secret.
        let plain = try Broker.changed { ($0.user, $0.password) = (nil, nil) }
        #expect(try await environment([], broker: plain, all).output.contains("MQLOCK_BROKER=\(plain)\n"))
        // A lock inside is not silently one of the default broker.
        let inner = try await environment([], broker: uri, "'\(TestProcess.mqlock)' run inner -n -- true")
        #expect(inner.status == 64)
        #expect(inner.errors.contains("--pass-broker"))
        let given = try await environment(
            ["--pass-broker"], broker: uri, "'\(TestProcess.mqlock)' run \(name)-2 -- true")
        #expect(given.status == 0, "\(given.errors)")
    }

    @Test("signals go to the command, and its status is ours")
    func signals() async throws {
        let script = """
            trap 'echo usr1' USR1; trap 'echo hup' HUP; trap 'echo term; exit 7' TERM
            echo ready; while :; do sleep 0.05; done
            """
        let process = try start([], ["sh", "-c", script])
        #expect(await process.output.line() == "ready")
        process.send(SIGUSR1)
        #expect(await process.output.line() == "usr1")
        process.send(SIGHUP)
        #expect(await process.output.line() == "hup")
        process.send(SIGTERM)
        #expect(await process.output.line() == "term")
        #expect(await process.ended().exitStatus == 7)
        let killed = try start([], ["sh", "-c", "echo ready; exec sleep 600"])
        #expect(await killed.output.line() == "ready")
        killed.send(SIGTERM)
        #expect(await killed.ended().exitStatus == 143)
    }

    @Test("mqlock is killed: its command is dead at once, children and all")
    func killed() async throws {
        let life = try Lifeline()
        let process = try start(
            [], ["sh", "-c", life.opening + "trap '' TERM; sleep 600 & echo ready >&9; wait"])
        #expect(await life.line() == "ready")
        life.letGo()
        let start = ContinuousClock.now
        process.send(SIGKILL)
        #expect(await life.line() == nil)
        // 100 ms is the promise; the machine may be busy.
        #expect(start.duration(to: .now) < .seconds(1))
        #expect(await process.ended().signal == SIGKILL)
        #expect(try await run(["-w", "40s"], ["true"]).status == 0)
    }

    @Test("mqlock is stopped: its command is dead before a waiter is granted; continued, it ends with 123")
    func stopped() async throws {
        let broker = try Broker.changed { $0.queryItems = [URLQueryItem(name: "heartbeat", value: "1")] }
        let life = try Lifeline()
        let holder = try start(
            ["-v"], ["sh", "-c", life.opening + "trap '' TERM; echo ready >&9; while :; do sleep 0.05; done"],
            broker: broker)
        #expect(await life.line() == "ready")
        life.letGo()
        let waiter = try start([], ["echo", "granted"], broker: broker)
        holder.send(SIGSTOP)
        async let dead: ContinuousClock.Instant = {
            #expect(await life.line() == nil)
            return .now
        }()
        async let granted: ContinuousClock.Instant = {
            #expect(await waiter.output.line() == "granted")
            return .now
        }()
        #expect(await dead < granted)
        #expect(await waiter.ended().exitStatus == 0)
        holder.send(SIGCONT)
        #expect(await holder.ended().exitStatus == 123)
        #expect(await holder.errors.rest().contains("lost"))
    }

    @Test("descriptors and signals of the command are as if nobody stood between")
    func cleanliness() async throws {
        // Other tests of this process have descriptors open that children inherit, more or fewer from moment to moment.
        let closing = """
            for file in /proc/$$/fd/*; do n=${file##*/}; [ "$n" -le 2 ] || eval "exec $n>&-"; done 2>/dev/null; exec "$@"
            """
        func clean(_ command: [String]) async throws -> TestProcess.Result {
            await
                (try TestProcess(
                    "/bin/bash", ["bash", "-c", closing, "bash"] + command,
                    environment: ["MQLOCK_BROKER": try required(Broker.uri)])).result()
        }
        let count = "ls /proc/self/fd | wc -l"
        let plain = try await clean(["sh", "-c", count]).output
        let command = ["sh", "-c", "\(count); grep -E '^Sig(Blk|Ign)' /proc/self/status"]
        let result = try await clean([TestProcess.mqlock] + arguments([], command))
        let lines = result.output.split(separator: "\n")
        #expect(lines.first.map { "\($0)\n" } == plain)
        #expect(lines.dropFirst().map { UInt64($0.suffix(16), radix: 16) } == [0, 0])
    }

    @Test("--json tells every step on stderr, one object a line")
    func json() async throws {
        let result = try await run(["--json"], ["sh", "-c", "exit 5"])
        #expect(result.status == 5)
        var events: [String] = []
        for line in result.errors.split(separator: "\n") {
            let object = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
            #expect(object?["name"] as? String == name)
            #expect(try InspectionCommandTests.isNow(required(object?["time"] as? String)))
            events.append(try required(object?["event"] as? String))
        }
        let own = ["waiting", "granted", "started", "exited", "released"]
        #expect(events.filter(own.contains) == own)
    }
}
