import MQLock
import Testing

@testable import MQLockKafka

@Suite struct ClientSettingsTests {
    private func properties(_ connection: KafkaConnection) throws -> [String: String] {
        let all = try ClientSettings(connection: connection, own: [("group.id", "g")]).properties()
        return Dictionary(all.map { ($0.name, $0.value) }, uniquingKeysWith: { $1 })
    }

    @Test func encryptionAndAuthentication() throws {
        var connection = KafkaConnection(brokers: ["one:1", "two:2"])
        #expect(try properties(connection)["security.protocol"] == "plaintext")
        #expect(try properties(connection)["bootstrap.servers"] == "one:1,two:2")
        connection.tls = .init(authorities: "/ca.pem", certificate: "/c.pem", key: "/k.pem", keyPassword: "p")
        #expect(try properties(connection)["security.protocol"] == "ssl")
        #expect(try properties(connection)["ssl.ca.location"] == "/ca.pem")
        #expect(try properties(connection)["ssl.key.password"] == "p")
        connection.sasl = .init(user: "u", password: "s")
        #expect(try properties(connection)["security.protocol"] == "sasl_ssl")
        #expect(try properties(connection)["sasl.mechanism"] == "SCRAM-SHA-512")
        connection.tls = nil
        #expect(try properties(connection)["security.protocol"] == "sasl_plaintext")
    }

    @Test func anyOtherPropertyCanBeSet() throws {
        var connection = KafkaConnection()
        connection.properties = ["socket.timeout.ms": "1234", "log_level": "7"]
        let all = try properties(connection)
        #expect(all["socket.timeout.ms"] == "1234" && all["log_level"] == "7" && all["group.id"] == "g")
    }

    @Test(arguments: ["enable.auto.commit", "group.instance.id", "session.timeout.ms", "isolation.level"])
    func whatSafetyRestsOnCannotBeSet(_ name: String) {
        let connection = KafkaConnection(properties: [name: "x"])
        #expect(throws: LockError.self) { try properties(connection) }
    }

    @Test(arguments: [
        ["no.such.property": "x"], ["socket.timeout.ms": "many"], ["sasl.mechanism": "NONE", "sasl.password": "hush"],
        ["security.protocol": "sasl_hush"],
    ])
    func whatTheLibraryRefusesIsAnErrorThatTellsNoPassword(_ wrong: [String: String]) {
        let connection = KafkaConnection(sasl: .init(user: "u", password: "hush!"), properties: wrong)
        let settings = ClientSettings(connection: connection, own: [])
        let error = #expect(throws: LockError.self) { try ClientHandle(.consumer, settings) }
        #expect(error?.code == .invalidConfiguration)
        #expect(error?.description.contains("hush!") == false)
    }

    @Test func brokersHaveToBeNamed() {
        for brokers in [[], [""], ["a,b"]] {
            #expect(throws: LockError.self) { try properties(KafkaConnection(brokers: brokers)) }
        }
    }
}
