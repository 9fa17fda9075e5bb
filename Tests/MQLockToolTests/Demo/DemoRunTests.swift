import Foundation
import Testing

@testable import MQLockTool

/// The whole demo, with the command that was built beside the tests.
@Suite("Demo runs", .serialized, .timeLimit(.minutes(2))) struct DemoRunTests {
    @Test func sabotageIsFound() async throws {
        let result = try await TestProcess.run(["demo", "--sabotage", "--broker", "amqp://127.0.0.1:1"])
        #expect(result.status == 1)
        #expect(result.output.contains("VIOLATED"))
        #expect(result.output.contains("overlap after"))
        #expect(result.output.contains("SHOWED TWO AT ONCE"))
    }

    @Test func helpTellsTheOptions() async throws {
        let result = try await TestProcess.run(["demo", "--help"])
        #expect(result.status == 0)
        #expect(result.output.contains("--rounds"))
        #expect(try await TestProcess.run(["demo", "--rounds", "x"]).status == 64)
    }

    @Test func unreachableBroker() async throws {
        // Nothing listens on port 1.
        let result = try await TestProcess.run(["demo", "--workers", "2", "--broker", "amqp://127.0.0.1:1"])
        #expect(result.status == 69)
        #expect(result.errors.contains("127.0.0.1:1"))
    }

    @Test(.enabled(if: Broker.uri != nil, Broker.reason)) func aRoundIsGood() async throws {
        let lock = "demo-test-\(UUID())"
        let result = try await TestProcess.run(
            ["demo", "--rounds", "1", "--workers", "3", "--lock", lock, "--broker", try required(Broker.uri)])
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        #expect(result.output.contains("SIGKILL "))
        #expect(result.output.contains("SIGSTOP "))
        #expect(result.output.contains("1 refused"))
        #expect(result.output.contains("verdict      good"))
    }

    @Test(.enabled(if: Broker.uri != nil, Broker.reason)) func refusedCredentials() async throws {
        let broker = try Broker.changed { $0.password = "wrong" }
        #expect(try await TestProcess.run(["demo", "--workers", "2", "--broker", broker]).status == 77)
    }

    @Test(.enabled(if: PrivateKafka.isWanted, PrivateKafka.reason))
    func aRoundOnKafkaIsGood() async throws {
        let kafka = try await PrivateKafka("locks:1")
        let result = try await TestProcess.run(
            [
                "demo", "--rounds", "1", "--workers", "3", "--broker",
                "kafka://\(kafka.brokers)/locks?session=2s&\(PrivateKafka.quick)",
            ])
        #expect(result.status == 0, "\(result.output)\(result.errors)")
        #expect(result.output.contains("SIGKILL ") && result.output.contains("SIGSTOP "))
        #expect(result.output.contains("1 refused") && result.output.contains("verdict      good"))
    }
}
