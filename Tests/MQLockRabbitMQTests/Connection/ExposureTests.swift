import Testing

@testable import MQLockRabbitMQ

@Suite("What a connection exposes")
struct ExposureTests {
    @Test(arguments: [
        "amqp://", "amqp://localhost", "amqp://LocalHost.", "amqp://broker.localhost", "amqp://127.0.0.1",
        "amqp://127.8.9.10:1/v", "amqp://[::1]", "amqp://[0:0:0:0:0:0:0:1]", "amqp://[::ffff:127.0.0.1]",
        "amqps://broker.example", "amqps://10.0.0.1?insecure=false", "amqps://localhost",
    ])
    func nothing(uri: String) throws {
        #expect(try AMQPURI.parse(uri).exposure == nil)
    }

    @Test(arguments: [
        "amqp://u:secret@broker.example", "amqp://10.0.0.1", "amqp://128.0.0.1", "amqp://0.0.0.0", "amqp://[fe80::1]",
        "amqp://[::]", "amqp://[::2]", "amqp://[::ffff:10.0.0.1]", "amqp://notlocalhost", "amqp://localhost.example",
        "amqp://127.0.0.1.example",
    ])
    func plainText(uri: String) throws {
        let text = try #require(try AMQPURI.parse(uri).exposure)
        #expect(text.contains("not encrypted") && text.contains("amqps://") && !text.contains("secret"))
    }

    @Test(arguments: ["amqps://u:secret@broker.example?insecure=true", "amqps://localhost?insecure=true"])
    func unverified(uri: String) throws {
        let text = try #require(try AMQPURI.parse(uri).exposure)
        #expect(text.contains("insecure=true") && text.contains("cacertfile=") && !text.contains("secret"))
    }
}
