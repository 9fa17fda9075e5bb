import MQLock
import Testing

@testable import MQLockRabbitMQ

/// No description and no reflection of anything that has a URI shows its password.
@Suite struct SecrecyTests {
    /// In every way in which a value can be made text.
    private func shown(_ value: Any) -> String {
        var dumped = ""
        dump(value, to: &dumped)
        return "\(value) \(String(reflecting: value)) \(String(describing: Optional(value))) \([value]) \(dumped)"
    }

    @Test func aConfigurationShowsWhereItLeads() throws {
        var configuration = RabbitMQLocks.Configuration(uri: "amqp://user:hush@broker.example/v?heartbeat=5")
        #expect(shown(configuration).contains("amqp://user@broker.example:5672/v"))
        #expect(!shown(configuration).contains("hush"))
        configuration.uri = "amqps://user:hu%73h@broker.example?x=hush"
        #expect(configuration.uri == "amqps://user:hu%73h@broker.example?x=hush")
        #expect(!shown(configuration).contains("hush") && !shown(configuration).contains("hu%73h"))
        configuration.uri = "amqp://user:hu%73h@broker.example"
        let locks = try RabbitMQLocks(configuration)
        let inspector = try RabbitMQInspector(configuration)
        for value in [locks, inspector, inspector.credentials] as [Any] {
            #expect(!shown(value).contains("hush"), "\(type(of: value))")
        }
    }

    /// Where the password of a malformed URI is, nobody knows.
    @Test(arguments: [
        "amqp://user:QZ/QZ@broker", "amqp://user:QZ?QZ@broker", "http://user:QZ@broker", "user:QZ@broker", "QZ",
        "amqp://user:QZ@QZ@broker", "amqp://user:QZ QZ@broker", "amqp://user:QZ#@broker", "amqp://us:er:QZ@[broker",
    ])
    func ofAMalformedURINothingIsShown(_ uri: String) {
        var configuration = RabbitMQLocks.Configuration(uri: uri)
        configuration.owner = "owner"
        #expect(!shown(configuration).contains("QZ"))
    }
}
