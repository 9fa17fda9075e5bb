import Testing

@testable import MQLockTool

@Suite(
    "mqlock elect on Kafka", .timeLimit(.minutes(1)),
    .enabled(if: PrivateKafka.isWanted, "needs a broker: brokers/with --kafka -- swift test"))
struct KafkaElectTests {
    @Test("what makes no sense is told once, to people")
    func refusal() async throws {
        let kafka = try await PrivateKafka("leader:1")
        try await kafka.fault("topic-error", "nowhere", "UNKNOWN_TOPIC_OR_PART")
        let uri = "kafka://\(kafka.brokers)/nowhere?session=3s"
        let result = try await TestProcess.run(["elect", "job", "--broker", uri, "--", "true"])
        #expect(result.status == 78, "\(result.errors)")
        let told = result.errors.split(separator: "\n").filter { $0.contains("there is no topic") }
        #expect(told.count == 1, "\(result.errors)")
    }

    @Test("claims=acknowledged leads where there are no transactions")
    func acknowledged() async throws {
        let kafka = try await PrivateKafka("leader:1")
        try await kafka.fault("errors", "InitProducerId", "UNSUPPORTED_VERSION", "1000")
        let uri = "kafka://\(kafka.brokers)/leader?session=3s"
        let command = ["elect", "job", "--broker"]
        let without = try await TestProcess.run(command + [uri, "--", "true"])
        #expect(without.status == 78 && without.errors.contains("claims=acknowledged"), "\(without.errors)")
        let with = try await TestProcess.run(command + [uri + "&claims=acknowledged", "--", "true"])
        #expect(with.status == 0, "\(with.errors)")
    }
}
