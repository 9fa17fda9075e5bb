import Foundation
import MQLock
import MQLockKafka
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The built command against a mock cluster of its own.
@Suite(
    "mqlock show, list, observe, break on Kafka", .timeLimit(.minutes(2)),
    .enabled(if: PrivateKafka.isWanted, PrivateKafka.reason))
struct InspectionKafkaTests {
    private func start(
        _ kafka: PrivateKafka, _ words: [String], query: String = "?session=2s&\(PrivateKafka.quick)"
    ) throws -> TestProcess {
        try TestProcess(
            TestProcess.mqlock, ["mqlock"] + words,
            environment: ["MQLOCK_BROKER": "kafka://\(kafka.brokers)/locks\(query)", "MQLOCK_MANAGEMENT": "http://h"])
    }

    private func result(_ kafka: PrivateKafka, _ words: String...) async throws -> TestProcess.Result {
        await (try start(kafka, words)).result()
    }

    /// One that holds until it is told to stop, and says its token when it does hold.
    private func hold(_ kafka: PrivateKafka, _ name: String, owner: String) throws -> TestProcess {
        try start(kafka, ["run", name, "--owner", owner, "--", "sh", "-c", "echo $MQLOCK_FENCE; exec sleep 600"])
    }

    private func objects(_ text: String) throws -> [[String: Any]] {
        try text.split(separator: "\n").map { line in
            try required(JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
        }
    }

    @Test(
        "show and list: who holds and who waits, also of a holder that is stopped; nothing: 1; texts of others escaped")
    func seen() async throws {
        let kafka = try await PrivateKafka("locks:1")
        #expect(try await result(kafka, "show", "job").output == "job is free\n")
        #expect(try await result(kafka, "show", "job").status == 1)
        #expect(try await result(kafka, "show", "jo?").status == 64)
        let none = try await result(kafka, "list", "--json")
        #expect(none.status == 1)
        #expect(try objects(none.output).first?["topic"] as? String == "locks")

        let holder = try hold(kafka, "job", owner: "first \u{1b}[31m")
        let token = await holder.output.line()
        let other = try hold(kafka, "night/other", owner: "other")
        #expect(await other.output.line() != nil)
        let waiter = try hold(kafka, "job", owner: "second")
        let lines = try await eventually("a holder and a waiter") {
            let lines = try objects(try await result(kafka, "show", "job", "--json").output)
            return lines.count == 3 ? lines : nil
        }
        #expect(lines[0]["state"] as? String == "held" && lines[0]["queue"] as? String == "log")
        #expect(lines[1]["owner"] as? String == "first \u{1b}[31m" && lines[1]["fence"] as? String == token)
        #expect(lines[2]["owner"] as? String == "second" && lines[2]["place"] as? Int == 1)
        // Of what the log does not know, nothing is said.
        for key in ["host", "pid", "connection", "user"] { #expect(lines[1][key] == nil && lines[2][key] == nil) }
        #expect(lines[1]["held"] is Double && lines[2]["waited"] == nil)

        holder.send(SIGSTOP)
        let shown = try await result(kafka, "show", "job")
        #expect(shown.status == 0 && shown.output.contains("first \\u{1b}[31m"), "\(shown.output)\(shown.errors)")
        let list = try await result(kafka, "list")
        #expect(list.output.split(separator: "\n").map { $0.prefix { $0 != " " } } == ["job", "night/other"])
        #expect(list.output.contains("1 waiter"))
        let matching = try objects(try await result(kafka, "list", "nig*", "--json").output)
        #expect(matching.map { $0["event"] as? String } == ["lock", "listed"])
        holder.send(SIGCONT)
        for process in [holder, other, waiter] { process.send(SIGKILL) }
    }

    @Test("observe: every change, a killed holder's loss; ends with 0 on TERM")
    func observe() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let holder = try hold(kafka, "job", owner: "first")
        #expect(await holder.output.line() != nil)
        let observer = try start(kafka, ["observe", "job", "--json"])
        func told(_ kind: String, of owner: String) async throws -> [String: Any] {
            while let line = await observer.output.line() {
                let object = try required(objects(line).first)
                if object["event"] as? String == kind, object["owner"] as? String == owner { return object }
            }
            throw TestFailure("\(kind) of \(owner) was not told")
        }
        _ = try await told("held", of: "first")
        let waiter = try hold(kafka, "job", owner: "second")
        _ = try await told("waiting", of: "second")
        holder.send(SIGKILL)
        #expect(try await told("lost", of: "first")["reason"] is String)
        let token = try await told("granted", of: "second")["fence"] as? String
        #expect(await waiter.output.line() == token)
        waiter.send(SIGTERM)
        _ = try await told("released", of: "second")
        observer.send(SIGTERM)
        #expect(await observer.ended().exitStatus == 0)
    }

    @Test("break: refused without --yes; the holder ends with 123, asked to yield; the waiter is granted; free: 1")
    func breaking() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let holder = try hold(kafka, "job", owner: "first")
        #expect(await holder.output.line() != nil)
        let unconfirmed = try await result(kafka, "break", "job")
        #expect(unconfirmed.status == 64 && unconfirmed.errors.contains("--yes"))
        let waiter = try hold(kafka, "job", owner: "second")
        let broken = try await result(kafka, "break", "job", "--yes", "-w", "20s", "--json")
        #expect(broken.status == 0, "\(broken.output)\(broken.errors)")
        #expect(try objects(broken.output).contains { $0["event"] as? String == "yielding" })
        #expect(await waiter.output.line() != nil)
        let ended = await holder.result()
        #expect(ended.status == 123 && ended.errors.contains("asked to yield"), "\(ended.errors)")
        waiter.send(SIGTERM)
        #expect(await waiter.ended().exitStatus == 128 + SIGTERM)
        #expect(try await result(kafka, "break", "job", "--yes").status == 1)
    }

    @Test("break of a stopped holder: refused while it may believe in its lease, and its session expired from then on")
    func stopped() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let holder = try hold(kafka, "job", owner: "stopped")
        #expect(await holder.output.line() != nil)
        holder.send(SIGSTOP)
        let early = try await result(kafka, "break", "job", "--yes", "-w", "200ms")
        #expect(early.status == 1 && early.errors.contains("-w "), "\(early.output)\(early.errors)")
        // Nobody else is there who would expire it.
        let late = try await result(kafka, "break", "job", "--yes", "-w", "20s", "--json")
        #expect(late.status == 0, "\(late.output)\(late.errors)")
        #expect(try objects(late.output).contains { $0["event"] as? String == "expired" })
        #expect(try await result(kafka, "show", "job").status == 1)
        holder.send(SIGCONT)
        #expect(await holder.result().status == 123)
    }

    @Test("what makes no sense, is not there or is refused: the same statuses as on RabbitMQ")
    func refused() async throws {
        let kafka = try await PrivateKafka("locks:1")
        try await kafka.fault("topic-error", "nowhere", "UNKNOWN_TOPIC_OR_PART")
        try await kafka.fault("topic-error", "secret", "TOPIC_AUTHORIZATION_FAILED")
        func status(_ words: [String], _ uri: String) async throws -> Int32 {
            try await TestProcess.run(words + ["--broker", uri], environment: ["MQLOCK_MANAGEMENT": ""]).status
        }
        for command in [["show", "job"], ["list"], ["observe", "job"], ["break", "job", "--yes"]] {
            #expect(try await status(command, "kafka://\(kafka.brokers)/nowhere") == 78, "\(command)")
            #expect(try await status(command, "kafka://\(kafka.brokers)/secret") == 77, "\(command)")
            #expect(try await status(command, "kafka://\(kafka.brokers)") == 64, "\(command)")
            #expect(try await status(command, "kafka://\(kafka.brokers)/locks?mutex=shards") == 64, "\(command)")
        }
        for command in [["show", "job", "-w", "500ms"], ["list", "-w", "500ms"]] {
            #expect(try await status(command, "kafka://127.0.0.1:1/locks") == 69, "\(command)")
        }
        for command in [
            ["list", "--management", "http://h"], ["break", "job", "--management", "http://h"], ["gc", "*"],
        ] {
            #expect(try await status(command, "kafka://\(kafka.brokers)/locks") == 64, "\(command)")
        }
    }

    @Test("who names another number of partitions is refused, and not shown a lock as free that is held elsewhere")
    func spread() async throws {
        let kafka = try await PrivateKafka("locks:4")
        // One that is where who names one partition would look for it.
        let name = try required(
            (0..<100).map { "job-\($0)" }.first { Partitioner.murmur2.partition(of: Array($0.utf8), count: 4) == 0 })
        let query = "?session=2s&partitions=4&\(PrivateKafka.quick)"
        let holder = try start(kafka, ["run", name, "--", "sh", "-c", "echo ready; exec sleep 600"], query: query)
        #expect(await holder.output.line() == "ready")
        for command in [["show", name], ["list"], ["break", name, "--yes"], ["observe", name]] {
            let other = await (try start(kafka, command)).result()
            #expect(other.status == 78 && other.errors.contains("4 partitions"), "\(command) \(other.errors)")
        }
        #expect(await (try start(kafka, ["show", name], query: query)).result().status == 0)
        #expect(await (try start(kafka, ["list"], query: query)).result().output.hasPrefix("\(name)  "))
        holder.send(SIGKILL)
    }
}
