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

@Suite(
    "mqlock elect on Kafka", .timeLimit(.minutes(1)),
    .enabled(if: PrivateKafka.isWanted, PrivateKafka.reason))
struct KafkaElectTests {
    @Test("what makes no sense is told once, to people")
    func refusal() async throws {
        let kafka = try await PrivateKafka("leader:1")
        try await kafka.fault("topic-error", "nowhere", "UNKNOWN_TOPIC_OR_PART")
        let uri = "kafka://\(kafka.brokers)/nowhere?mutex=shards&session=3s"
        let result = try await TestProcess.run(["elect", "job", "--broker", uri, "--", "true"])
        #expect(result.status == 78, "\(result.errors)")
        let told = result.errors.split(separator: "\n").filter { $0.contains("there is no topic") }
        #expect(told.count == 1, "\(result.errors)")
    }

    @Test("what nobody could see is refused, on both kinds of topics", arguments: ["", "?mutex=shards"])
    func nothingToSay(query: String) async throws {
        let result = try await TestProcess.run(
            ["elect", "job", "--info", "part 1", "--broker", "kafka://127.0.0.1:1/leader\(query)", "--", "true"])
        #expect(result.status == 64 && result.errors.contains("--info"), "\(result.errors)")
    }

    @Test("by the locks of a topic: its status, and a killed leader's command dies before another leads")
    func locks() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let uri = "kafka://\(kafka.brokers)/locks?session=2s&\(PrivateKafka.quick)"
        func candidate(_ owner: String, _ script: String) throws -> TestProcess {
            try TestProcess(
                TestProcess.mqlock, ["mqlock", "elect", "relay", "--owner", owner, "--", "sh", "-c", script],
                environment: ["MQLOCK_BROKER": uri])
        }
        let done = await (try candidate("done", "echo $MQLOCK_MODE; exit 3")).result()
        #expect(done.status == 3 && done.output == "leader\n", "\(done.errors)")
        let lifeline = try Lifeline()
        let first = try candidate("first", lifeline.opening + "echo $MQLOCK_FENCE >&9; exec sleep 600")
        let token = try required(await lifeline.line().flatMap { FencingToken($0) })
        lifeline.letGo()
        let second = try candidate("second", "echo $MQLOCK_FENCE; exec sleep 600")
        let view = try await eventually("both to be seen") {
            let view = try await TestProcess.run(["show", "relay", "--broker", uri])
            return view.output.contains("holder    first") && view.output.contains("waiter 1  second") ? view : nil
        }
        #expect(view.status == 0)
        first.send(SIGKILL)
        #expect(await lifeline.line() == nil)
        #expect(try required(await second.output.line().flatMap { FencingToken($0) }) > token)
        second.send(SIGTERM)
        #expect(await second.ended().exitStatus == 128 + SIGTERM)
        let refused = try await TestProcess.run(["elect", "job", "--mutex", "sac", "--broker", uri, "--", "true"])
        #expect(refused.status == 64)
    }

    @Test("a leader that is asked to yield ends its command, and campaigns again")
    func yields() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let uri = "kafka://\(kafka.brokers)/locks?session=2s&\(PrivateKafka.quick)"
        let leader = try TestProcess(
            TestProcess.mqlock, ["mqlock", "elect", "relay", "--", "sh", "-c", "echo $MQLOCK_FENCE; exec sleep 600"],
            environment: ["MQLOCK_BROKER": uri])
        let token = try required(await leader.output.line().flatMap { FencingToken($0) })
        #expect(try await TestProcess.run(["break", "relay", "--yes", "-w", "20s", "--broker", uri]).status == 0)
        #expect(try required(await leader.output.line().flatMap { FencingToken($0) }) > token)
        leader.send(SIGTERM)
        #expect(await leader.ended().exitStatus == 128 + SIGTERM)
    }

    @Test("claims=acknowledged leads where there are no transactions")
    func acknowledged() async throws {
        let kafka = try await PrivateKafka("leader:1")
        try await kafka.fault("errors", "InitProducerId", "UNSUPPORTED_VERSION", "1000")
        let uri = "kafka://\(kafka.brokers)/leader?mutex=shards&session=3s"
        let command = ["elect", "job", "--broker"]
        let without = try await TestProcess.run(command + [uri, "--", "true"])
        #expect(without.status == 78 && without.errors.contains("claims=acknowledged"), "\(without.errors)")
        let with = try await TestProcess.run(command + [uri + "&claims=acknowledged", "--", "true"])
        #expect(with.status == 0, "\(with.errors)")
    }
}
