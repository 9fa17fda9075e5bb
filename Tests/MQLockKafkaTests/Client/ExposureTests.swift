import MQLock
import Testing

@testable import MQLockKafka

/// What a connection lets others on the network see, and that it is told.
@Suite struct ExposureTests {
    private static let password = KafkaConnection.SASL(user: "u", password: "secret")

    @Test(arguments: [
        KafkaConnection(brokers: ["broker.example:9092"]),
        KafkaConnection(brokers: ["127.0.0.1", "localhost:9092", "[::1]:9092", "::1", "127.1.2.3:1"], sasl: password),
        KafkaConnection(brokers: ["broker.example:9092"], tls: .init(), sasl: password),
    ])
    func nothing(_ connection: KafkaConnection) { #expect(connection.exposure == nil) }

    @Test(arguments: [
        KafkaConnection(brokers: ["broker.example:9092"], sasl: password),
        KafkaConnection(brokers: ["127.0.0.1:9092", "10.0.0.1:9092"], sasl: password),
        KafkaConnection(brokers: ["[fe80::1]:9092"], sasl: password),
        KafkaConnection(brokers: ["localhost.example"], sasl: password),
        KafkaConnection(
            brokers: ["10.0.0.1"], properties: ["sasl.mechanism": "OAUTHBEARER", "sasl.oauthbearer.config": "secret"]),
    ])
    func aPasswordInPlainText(_ connection: KafkaConnection) throws {
        let text = try #require(connection.exposure)
        #expect(text.contains("not encrypted") && text.contains("tls=true") && !text.contains("secret"))
    }

    @Test func whoeverAnswersIsTrusted() throws {
        let text = try #require(KafkaConnection(brokers: ["localhost"], tls: .init(insecure: true)).exposure)
        #expect(text.contains("insecure=true") && text.contains("cacertfile="))
    }

    /// The observers of locks and the readers of events are told, before any broker has answered.
    @Test(.timeLimit(.minutes(1))) func itIsWarnedAbout() async throws {
        struct Teller: LockObserver {
            let told: AsyncStream<LockEvent>.Continuation
            func observe(_ event: LockEvent) { told.yield(event) }
        }
        // An address that is nobody's (RFC 5737).
        let connection = KafkaConnection(brokers: ["192.0.2.1:9092"], sasl: Self.password)
        let ownership = try ShardOwnership(.init(connection: connection, topic: "t", partitions: 1))
        let (told, teller) = AsyncStream.makeStream(of: LockEvent.self)
        let locks = ShardLocks(ownership, observer: Teller(told: teller))
        var events = ownership.events.makeAsyncIterator()
        let running = Task { try await ownership.run() }
        let event = try #require(await events.next())
        #expect(event.kind == .warning && event.errorCode == nil && event.reason?.detail == connection.exposure)
        let warning = await told.first { _ in true }
        #expect(warning?.kind == .warning && warning?.detail == connection.exposure)
        withExtendedLifetime(locks) {}
        await ownership.shutdown()
        try await running.value
    }
}
