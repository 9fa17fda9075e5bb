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

/// The built command against a mock cluster of its own.
@Suite(
    "mqlock run on Kafka", .timeLimit(.minutes(2)),
    .enabled(if: PrivateKafka.isWanted, PrivateKafka.reason))
struct RunKafkaTests {
    private func start(
        _ kafka: PrivateKafka, _ options: [String] = [], _ command: [String],
        query: String = "?session=2s&\(PrivateKafka.quick)"
    ) throws -> TestProcess {
        try TestProcess(
            TestProcess.mqlock, ["mqlock", "run", "job"] + options + ["--"] + command,
            environment: ["MQLOCK_BROKER": "kafka://\(kafka.brokers)/locks\(query)"])
    }

    private static let holds = ["sh", "-c", "echo ready; exec sleep 600"]

    @Test("the command's own status, a fence that grows, and what it finds in its environment")
    func runs() async throws {
        let kafka = try await PrivateKafka("locks:1")
        var last: FencingToken?
        for (end, status) in [("exit 0", Int32(0)), ("exit 3", 3), ("kill -KILL $$", 137)] {
            let script = "echo $MQLOCK_FENCE $MQLOCK_NAME $MQLOCK_OWNER $MQLOCK_MODE; \(end)"
            let result = await (try start(kafka, ["--owner", "me"], ["sh", "-c", script])).result()
            #expect(result.status == status && result.errors == "", "\(result.errors)")
            let words = result.output.split(whereSeparator: \.isWhitespace)
            #expect(words.dropFirst() == ["job", "me", "exclusive"])
            let fence = try required(words.first.flatMap { FencingToken($0) })
            if let last { #expect(fence > last) }
            last = fence
        }
    }

    @Test("a lock that is taken: status 1 and its holder, or -E; signals end a wait, and are passed on to the command")
    func taken() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let holder = try start(kafka, ["--owner", "first"], Self.holds)
        #expect(await holder.output.line() == "ready")
        // Its own word is not waited for: half a second to read the log.
        _ = try await eventually("the holder to be named") {
            let refused = await (try start(kafka, ["-n"], ["echo", "ran"])).result()
            #expect(refused.status == 1 && refused.output == "" && refused.errors.contains("is taken"))
            return refused.errors.contains("first; fencing token") ? true : nil
        }
        let late = await (try start(kafka, ["-w", "2s", "-E", "9", "-q"], ["true"])).result()
        #expect(late.status == 9 && late.errors == "")
        let waiting = try start(kafka, ["--json"], ["true"])
        while let line = await waiting.errors.line(), !line.contains(#""connected""#) {}
        waiting.send(SIGINT)
        #expect(await waiting.ended().exitStatus == 130)
        holder.send(SIGTERM)
        #expect(await holder.result().status == 128 + SIGTERM)
    }

    @Test("who waits is next: at once behind one that ends, and after its session behind one that is killed")
    func next() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let lifeline = try Lifeline()
        let holder = try start(kafka, [], ["sh", "-c", lifeline.opening + "echo ready >&9; exec sleep 600"])
        #expect(await lifeline.line() == "ready")
        lifeline.letGo()
        let waiting = try start(kafka, ["-v"], ["sh", "-c", "echo mine; exec sleep 600"])
        while let line = await waiting.errors.line(), !line.contains("connected") {}
        holder.send(SIGKILL)
        // Its command is dead before anybody else has the lock.
        #expect(await lifeline.line() == nil)
        #expect(await waiting.output.line() == "mine")
        let last = try start(kafka, [], ["echo", "last"])
        waiting.send(SIGTERM)
        #expect(await last.result().output == "last\n")
        #expect(await waiting.ended().exitStatus == 128 + SIGTERM)
        #expect(await holder.ended().signal == SIGKILL)
    }

    @Test("the command is ended, with all that it has started, when the cluster goes, and the status is 123")
    func lost() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let lifeline = try Lifeline()
        let script = lifeline.opening + "trap '' TERM; sleep 600 & echo ready >&9; wait"
        let holder = try start(kafka, ["-v"], ["sh", "-c", script])
        #expect(await lifeline.line() == "ready")
        lifeline.letGo()
        try await kafka.fault("broker", "1", "down")
        #expect(await lifeline.line() == nil)
        #expect(await holder.result().status == 123)
    }

    @Test("a stopped mqlock leaves no command behind: the guard ends it, and the status is 123 when it goes on")
    func stopped() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let lifeline = try Lifeline()
        let holder = try start(kafka, [], ["sh", "-c", lifeline.opening + "echo ready >&9; exec sleep 600"])
        #expect(await lifeline.line() == "ready")
        lifeline.letGo()
        holder.send(SIGSTOP)
        #expect(await lifeline.line() == nil)
        holder.send(SIGCONT)
        #expect(await holder.result().status == 123)
    }

    @Test("--once: the first runs it, the others skip it, a failure is tried again, and show says when it last ran")
    func once() async throws {
        let kafka = try await PrivateKafka("locks:1")
        func run(_ script: String) async throws -> TestProcess.Result {
            await (try start(kafka, ["--once", "release-7", "-v", "--owner", "me"], ["sh", "-c", script])).result()
        }
        #expect(try await run("exit 3").status == 3)
        let done = try await run("echo $MQLOCK_PERIOD")
        #expect((done.status, done.output) == (0, "release-7\n"), "\(done.errors)")
        for _ in 0..<2 {
            let skipped = try await run("echo again")
            #expect(
                (skipped.status, skipped.output) == (0, "") && skipped.errors.contains("skipped"), "\(skipped.errors)")
        }
        let uri = "kafka://\(kafka.brokers)/locks?\(PrivateKafka.quick)"
        let shown = try await TestProcess.run(["show", "job", "--broker", uri])
        #expect(shown.status == 1 && shown.output.contains("last run") && shown.output.contains("release-7"))
        let nowhere = try await TestProcess.run(
            ["run", "job", "--once", "day", "-w", "1s", "--broker", "kafka://127.0.0.1:1/locks", "--", "true"])
        #expect(nowhere.status == 69)
    }

    @Test(
        "what Kafka has not is refused",
        arguments: [
            (["--mutex", "sac"], "", "--mutex"), (["--info", "part 1 of 7"], "", "--info"),
            ([], "?claims=acknowledged", "claims"),
            ([], "?records=orders", "records"), ([], "?mutex=shards", "mutex=shards"), ([], "?session=1ms", "session"),
            ([], "?session=11m", "session"), ([], "?drain=x", "drain"),
        ])
    func refused(options: [String], query: String, word: String) async throws {
        let result = try await TestProcess.run(
            ["run", "job"] + options + ["--broker", "kafka://127.0.0.1:1/locks\(query)", "--", "true"])
        #expect(result.status == 64 && result.errors.contains(word), "\(result.errors)")
    }

    @Test("no topic, or too few partitions: 78; no rights: 77; nobody there: 69, within the time that was given")
    func notThere() async throws {
        let kafka = try await PrivateKafka("locks:1")
        try await kafka.fault("topic-error", "nowhere", "UNKNOWN_TOPIC_OR_PART")
        try await kafka.fault("topic-error", "secret", "TOPIC_AUTHORIZATION_FAILED")
        for (brokers, rest, status) in [
            (kafka.brokers, "nowhere", Int32(78)), (kafka.brokers, "locks?partitions=2", 78),
            (kafka.brokers, "secret", 77),
            ("127.0.0.1:1", "locks", 69),
        ] {
            let result = try await TestProcess.run(
                ["run", "job", "-w", "2s", "--broker", "kafka://\(brokers)/\(rest)", "--", "true"])
            #expect(result.status == status && !result.errors.isEmpty, "\(rest): \(result.errors)")
        }
    }
}
