import Foundation
import MQLock
import MQLockKafka
import Testing

@testable import MQLockTool

@Suite("mqlock shards, without a broker")
struct ShardsTests {
    @Test(
        "what is refused before any broker is asked",
        arguments: [
            (["--broker", "kafka://h:1"], "topic"),
            (["--broker", "amqp://h:1"], "mqlock run"),
            (["--broker", "kafka://h:1/t", "-p", "0"], "1 to 100000"),
            (["--broker", "kafka://h:1/t", "-p", "x"], "1 to 100000"),
            (["--broker", "kafka://h:1/t?session=1ms", "-p", "4"], "session"),
            (["--broker", "kafka://h:1/t?group.id=x", "-p", "4"], "group.id"),
            (["--broker", "kafka://h:1/t", "-p", "4", "--owner", ""], "1 to 200 bytes"),
            (["t"], "the broker's URI"),
            (["--", "true"], "runs no command"),
            (["--partitons", "4"], "did you mean '--partitions'"),
        ])
    func refused(options: [String], phrase: String) async throws {
        let result = try await TestProcess.run(["shards"] + options)
        #expect(result.status == 64)
        #expect(result.errors.contains(phrase), "\(result.errors)")
        #expect(result.output.isEmpty)
    }

    @Test("commands of locks refuse the shards of a topic, and say which commands know them")
    func locks() async throws {
        for words in [
            ["run", "x", "--", "true"], ["show", "x"], ["list"], ["observe", "x"], ["break", "x", "--yes"],
            ["bench", "--quick"], ["demo"],
        ] {
            let result = try await TestProcess.run(words, environment: ["MQLOCK_BROKER": "kafka://h:1/t?mutex=shards"])
            #expect(result.status == 64, "\(words)")
            #expect(result.errors.contains("mqlock shards, elect and doctor"), "\(words)")
        }
    }

    @Test("a cluster that cannot be reached")
    func unreachable() async throws {
        let configuration = try KafkaURI("kafka://127.0.0.1:1/t").ownership(partitions: 4)
        let said = Locked("")
        let report = ShardsReport(
            topic: "t", owner: "me", json: true,
            write: { text in
                said.withLock { $0 += text }
                return true
            }, writeError: { _ in })
        let session = ShardsSession(
            configuration: configuration, partitions: 4, patience: .milliseconds(300), report: report)
        #expect(await session.run() == 69)
        #expect(said.withLock { $0 }.contains("\"event\":\"failed\""))
    }

    @Test("a signal leaves, one right behind it counts as the same, a later one ends it")
    func signals() {
        let start = ContinuousClock.now
        var desk = LeavingDesk()
        #expect(desk.received(at: start) == .leave)
        #expect(desk.received(at: start) == .ignore)
        #expect(desk.received(at: start.advanced(by: .milliseconds(999))) == .ignore)
        #expect(desk.received(at: start.advanced(by: .seconds(1))) == .quit)
    }
}
