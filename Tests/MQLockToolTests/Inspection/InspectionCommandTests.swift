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

enum InspectionFixtures {
    static let credentials = RabbitMQInspector.Credentials(user: "guest", password: "guest", vhost: "/")
}

/// The built command against a real broker.
@Suite(
    "mqlock show, observe, break", .serialized, .timeLimit(.minutes(3)), .enabled(if: Broker.uri != nil, Broker.reason))
struct InspectionCommandTests {
    /// No other test, and no other run of the tests, uses it.
    let name = "inspection-\(UUID().uuidString)"

    func start(_ arguments: [String], heartbeat: Int? = nil) throws -> TestProcess {
        let uri = try heartbeat.map { seconds in
            try Broker.changed { $0.queryItems = [URLQueryItem(name: "heartbeat", value: String(seconds))] }
        }
        return try TestProcess(
            TestProcess.mqlock, ["mqlock"] + arguments,
            environment: ["MQLOCK_BROKER": try uri ?? required(Broker.uri), "MQLOCK_MANAGEMENT": ""])
    }

    /// One that holds until it is told to stop, and says when it does hold.
    func hold(_ mutex: String, owner: String, heartbeat: Int? = nil) throws -> TestProcess {
        let script = "echo $MQLOCK_FENCE; exec sleep 600"
        return try start(
            ["run", name, "--mutex", mutex, "--owner", owner, "-v", "--", "sh", "-c", script], heartbeat: heartbeat)
    }

    func objects(_ text: String) throws -> [[String: Any]] {
        try text.split(separator: "\n").map { line in
            try required(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
    }

    @Test("what a holder says about its hold, in show and list") func info() async throws {
        let said = "step 3 of 7, 50 %\nnot to be broken"
        let holder = try start(["run", name, "--info", said, "--", "sh", "-c", "echo ready; exec sleep 600"])
        #expect(await holder.output.line() == "ready")
        let objects = try await seen(holders: 1, waiters: 0)
        #expect(objects.last?["info"] as? String == said)
        let words = await (try start(["show", name])).result().output
        #expect(words.contains("step 3 of 7, 50 %") && words.split(separator: "\n").count == 3)
        let listed = await (try start(["list", name, "--json"])).result().output
        #expect(try self.objects(listed).first?["info"] as? String == said)
        holder.send(SIGTERM)
        #expect(await holder.result().status == 128 + SIGTERM)
        let long = String(repeating: "x", count: Lease.maximumInfo + 1)
        #expect(await (try start(["run", name, "--info", long, "--", "true"])).result().status == 64)
    }

    /// What `show` says, as soon as it sees that many: contenders begin to listen a moment after they have begun.
    func seen(holders: Int, waiters: Int) async throws -> [[String: Any]] {
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
    func line(_ reader: PipeReader, with texts: [String]) async throws -> String {
        while let line = await reader.line() { if texts.contains(where: line.contains) { return line } }
        throw TestFailure("no line with any of \(texts) came")
    }

    func isGranted(_ process: TestProcess) async -> Bool {
        await process.output.line().flatMap { FencingToken($0) } != nil
    }

    /// Whether a time is one of the last minutes, to the millisecond.
    static func isNow(_ time: String) throws -> Bool {
        let date = try Date(time, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
        return time.hasSuffix("Z") && abs(date.timeIntervalSinceNow) < 300
    }

    @Test("list: what is held or waited for, of every mutex, by pattern; nothing: 1; every JSON line has the time")
    func list() async throws {
        func list(_ words: String...) async throws -> TestProcess.Result {
            await (try start(["list"] + words)).result()
        }
        let none = try await list("\(name)*")
        #expect((none.status, none.output) == (1, ""))
        #expect(none.errors.contains("not seen"))
        var processes: [TestProcess] = []
        for mutex in ["sac", "token", "exclusive"] {
            processes.append(
                try start([
                    "run", "\(name)-\(mutex)", "--mutex", mutex, "--owner", "\(mutex)\u{1b}", "--", "sh", "-c",
                    "echo in; exec sleep 600",
                ]))
            #expect(await processes.last?.output.line() == "in")
        }
        let waiter = try start(["run", "\(name)-sac", "--", "true"])
        let lines = try await eventually("three locks and a waiter to be listed") {
            let lines = try await list("\(name)-*").output.split(separator: "\n").map(String.init)
            return lines.count == 3 && lines.contains { $0.contains("1 waiter") } ? lines : nil
        }
        #expect(lines.map { $0.prefix { $0 != " " } } == ["exclusive", "sac", "token"].map { "\(name)-\($0)" })
        #expect(lines.allSatisfy { !$0.contains("\u{1b}") })
        #expect(lines.filter { $0.contains("waiter") } == [lines[1]])
        #expect(try await list("\(name)-?ac").output.split(separator: "\n").count == 1)
        #expect(try await list().output.contains("\(name)-token"))
        let objects = try objects(try await list("\(name)-*", "--json").output)
        #expect(objects.map { $0["event"] as? String } == ["lock", "lock", "lock", "listed"])
        #expect(objects[1]["owner"] as? String == "sac\u{1b}")
        #expect(objects[1]["waiters"] as? Int == 1)
        #expect(objects[3]["locks"] as? Int == 3)
        for object in objects { #expect(try Self.isNow(required(object["time"] as? String))) }

        // A pattern is no name of a lock that is free, unless somebody has taken that very name.
        for command in ["show", "break"] {
            let result = await (try start([command, "\(name)*"])).result()
            #expect(result.status == 64)
            #expect(!(result.output + result.errors).contains("is free"))
            #expect(result.errors.contains("mqlock list"))
        }
        let literal = try await TestProcess.run(
            ["run", "\(name)*", "--", "true"], environment: ["MQLOCK_BROKER": required(Broker.uri)])
        #expect(literal.status == 0)
        let free = await (try start(["show", "\(name)*"])).result()
        #expect(free.status == 1)
        #expect(free.output.contains("is free"))
        for process in processes { process.send(SIGTERM) }
        #expect(await waiter.ended().exitStatus == 0)
        for process in processes { #expect(await process.ended().exitStatus == 143) }
    }

    /// Who is what in the text of `show`.
    static func owners(_ text: String) -> [String] {
        text.split(separator: "\n").compactMap { line in
            let words = line.split(separator: " ")
            guard ["holder", "waiter"].contains(words[0]) else { return nil }
            let owner = words[words[0] == "holder" ? 1 : 2].prefix { $0 != ";" }
            return "\(words[0]) \(owner)"
        }
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
        #expect(unconfirmed.errors.contains("--yes"))
        // The same contenders as of show, holder and waiters.
        let shown = await (try start(["show", name])).result()
        #expect(Self.owners(unconfirmed.output) == ["holder first", "waiter second"])
        #expect(Self.owners(unconfirmed.output) == Self.owners(shown.output))
        let silent = await (try start(["break", name, "--json"])).result()
        #expect(try objects(silent.output).compactMap { $0["owner"] as? String } == ["first", "second"])
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

    @Test(
        "break of a stopped holder refuses and says which commands do it: they name its connection, by the broker's word",
        arguments: ["sac", "token", "exclusive"])
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
        // The broker's numbers may be some seconds old.
        let named = try await eventually("a connection by the commands") {
            try await Management.connection(byCommands: broken.errors)
        }
        #expect(named.contains("stopped locks"))
        holder.send(SIGCONT)
        // It was stopped for a moment only: it has lost nothing.
        _ = try await seen(holders: 1, waiters: 0)
        holder.send(SIGTERM)
        #expect(await holder.ended().exitStatus == 143)
    }

    @Test(
        "break of a stopped holder by the management API",
        .enabled(if: Management.isThere, Management.reason), arguments: ["sac", "token", "exclusive"])
    func management(mutex: String) async throws {
        let url = try await Management.url()
        let holder = try hold(mutex, owner: "stopped", heartbeat: 60)
        #expect(await isGranted(holder))
        let waiter = try hold(mutex, owner: "second")
        _ = try await seen(holders: 1, waiters: 1)
        holder.send(SIGSTOP)
        // Its user may not be asked for; the broker knows it all the same.
        let listed = try await eventually("the stopped holder to be in use by the broker's word") {
            let list = await (try start(["list", "-w", "500ms", "--management", url])).result().output
            return list.contains(name) ? list : nil
        }
        #expect(listed.contains("waited for, and no holder answers"))
        let arguments = ["break", name, "--yes", "-w", "500ms", "--management", url]
        let broken = await (try start(arguments)).result()
        #expect(broken.status == 0, "\(broken.errors)")
        #expect(broken.output.contains("stopped locks"))
        #expect(await isGranted(waiter))
        holder.send(SIGCONT)
        #expect(await holder.ended().exitStatus == 123)
        waiter.send(SIGTERM)
        #expect(await waiter.ended().exitStatus == 143)
    }

    /// Longer than anybody tries out.
    @Test(
        "doctor asks the management API for the policy of locks", .enabled(if: Management.isThere, Management.reason))
    func policy() async throws {
        let url = try await Management.url()
        let vhost = "policy-\(UUID().uuidString)"
        try await Management.ctl("add_vhost", vhost)
        try await Management.ctl("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        try await Management.ctl("set_policy", "-p", vhost, "hourly", ".*", #"{"message-ttl":3600000}"#)
        let broker = try Broker.changed { $0.path = "/\(vhost)" }
        let result = try await TestProcess.run(["doctor", "--management", url, "--broker", broker])
        try await Management.ctl("delete_vhost", vhost)
        #expect(result.status == 78)
        #expect(result.output.contains("hourly") && result.output.contains("message-ttl=3600000"), "\(result.output)")
    }

    @Test("no broker: 69; a wrong password: 77")
    func unreachable() async throws {
        let port = try Broker.changed { $0.port = 1 }
        let result = try await TestProcess.run(["show", name, "--broker", port])
        #expect(result.status == 69)
        let password = try Broker.changed { $0.password = "wrong-secret" }
        for command in [["show"], ["list"], ["observe"], ["break", "--yes"]] {
            let refused = try await TestProcess.run(command + [name, "--broker", password])
            #expect(refused.status == 77)
            #expect(!(refused.output + refused.errors).contains("wrong-secret"))
        }
    }
}
