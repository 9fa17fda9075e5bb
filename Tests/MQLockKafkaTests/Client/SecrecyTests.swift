import MQLock
import Testing

@testable import MQLockKafka

/// No description and no reflection of anything public shows a secret.
@Suite struct SecrecyTests {
    private static let secret = "hush-hush"

    private static let connection = KafkaConnection(
        brokers: ["broker:9092"], tls: .init(certificate: "c", key: "k", keyPassword: secret),
        sasl: .init(user: "user", password: secret), properties: ["oauth.secret": secret])

    /// In every way in which a value can be made text.
    private func shown(_ value: Any) -> String {
        var dumped = ""
        dump(value, to: &dumped)
        return "\(value) \(String(reflecting: value)) \(String(describing: Optional(value))) \([value]) \(dumped)"
    }

    @Test func connectionsShowWhatIsNoSecret() {
        let text = shown(Self.connection)
        #expect(!text.contains(Self.secret))
        for word in ["broker:9092", "user", "SCRAM-SHA-512", "oauth.secret"] { #expect(text.contains(word), "\(word)") }
        #expect(Self.connection.sasl?.password == Self.secret && Self.connection.tls?.keyPassword == Self.secret)
        #expect(Self.connection.properties == ["oauth.secret": Self.secret])
        // What is hidden is compared all the same.
        var other = Self.connection
        other.sasl?.password += "!"
        #expect(other != Self.connection)
    }

    @Test func nothingThatHasAConnectionShowsIt() throws {
        var connection = Self.connection
        connection.properties = ["ssl.key.pem": Self.secret]
        let configuration = ShardOwnership.Configuration(connection: connection, topic: "t", partitions: 2)
        let ownership = try ShardOwnership(configuration)
        let values: [Any] = [
            connection.sasl as Any, connection.tls as Any, configuration, ownership, ShardLocks(ownership),
            try KafkaElection(configuration), KafkaInspector(connection), try FencedProducer(ownership),
            OutputReader(ownership), ClientSettings(connection: connection, own: []),
        ]
        for value in values { #expect(!shown(value).contains(Self.secret), "\(type(of: value))") }
    }
}
