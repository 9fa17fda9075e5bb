import CMQLockRdKafka
import Foundation
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
        #expect(try properties(connection)["ssl.endpoint.identification.algorithm"] == nil)
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

    @Test(arguments: ClientSettings.reserved.sorted() + ClientSettings.replaced.keys.sorted())
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
        for brokers in [[], [""], ["a,b"], ["PLAINTEXT://a:9092"], ["u:secret@a:9092"], ["a", "ssl://b"]] {
            #expect(throws: LockError.self) { try properties(KafkaConnection(brokers: brokers)) }
        }
    }

    // MARK: Encryption

    /// A configuration of the library with these properties; nil when it refuses one.
    private func withConfiguration<Result>(
        _ properties: [(name: String, value: String)], _ body: (OpaquePointer) throws -> Result
    ) throws -> Result? {
        let configuration = try #require(rd_kafka_conf_new())
        defer { rd_kafka_conf_destroy(configuration) }
        for (name, value) in properties
        where rd_kafka_conf_set(configuration, name, value, nil, 0) != RD_KAFKA_CONF_OK { return nil }
        return try body(configuration)
    }

    private func value(_ name: String, _ configuration: OpaquePointer) -> String? {
        var buffer = [CChar](repeating: 0, count: 4096)
        var size = buffer.count
        guard rd_kafka_conf_get(configuration, name, &buffer, &size) == RD_KAFKA_CONF_OK else { return nil }
        return String(decoding: buffer.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Every name that the library knows, also the second ones that it has for some.
    private func everyName() throws -> [String] {
        var text: UnsafeMutablePointer<CChar>?
        var size = 0
        let stream = try #require(open_memstream(&text, &size))
        rd_kafka_conf_properties_show(stream)
        fclose(stream)
        defer { free(text) }
        // A table with a line for each, the name first.
        return String(cString: try #require(text)).split(separator: "\n").compactMap { line in
            let name = line.split(separator: "|")[0].trimmingCharacters(in: .whitespaces)
            return line.contains("|") && name.contains(".") && !name.contains(" ") ? name : nil
        }
    }

    /// Whatever name of the library's is set to whatever value: it is refused, or changes nothing of what is promised.
    @Test(arguments: [false, true], [false, true])
    func noPropertySwitchesOffWhatTheConnectionSays(_ isEncrypted: Bool, _ authenticates: Bool) throws {
        let names = try everyName()
        #expect(names.count > 100 && Set(names).isSuperset(of: ClientSettings.replaced.keys))
        #expect(names.contains("sasl.mechanism") && names.contains("sasl.mechanisms"))
        var connection = KafkaConnection(
            brokers: ["broker:9092"], tls: isEncrypted ? .init() : nil,
            sasl: authenticates ? .init(.scramSHA256, user: "u", password: "p") : nil)
        let promised: [String: String?] = [
            "security.protocol": (authenticates ? "sasl_" : "") + (isEncrypted ? "ssl" : "plaintext"),
            "enable.ssl.certificate.verification": isEncrypted ? "true" : nil,
            "ssl.endpoint.identification.algorithm": isEncrypted ? "https" : nil,
            "sasl.mechanisms": authenticates ? "SCRAM-SHA-256" : nil, "sasl.username": authenticates ? "u" : nil,
            "bootstrap.servers": "broker:9092", "client.id": "mqlock",
        ]
        var taken = 0
        for name in names {
            for text in ["false", "none", "plaintext", "sasl_plaintext", "ssl", "0", "1", "PLAIN", "x:1"] {
                connection.properties = [name: text]
                guard let all = try? ClientSettings(connection: connection, own: []).properties() else { continue }
                _ = try withConfiguration(all) { configuration in
                    taken += 1
                    for (name, wanted) in promised {
                        guard let wanted else { continue }
                        // To authenticate by other means is no less.
                        if name == "security.protocol", connection.authenticates, !authenticates { continue }
                        #expect(value(name, configuration) == wanted, "\(connection.properties)")
                    }
                    if isEncrypted { #expect(value("security.protocol", configuration)?.hasSuffix("ssl") == true) }
                }
            }
        }
        #expect(taken > 100)
    }

    @Test func whoWantsNoVerificationHasToSaySo() throws {
        var connection = KafkaConnection(tls: .init(insecure: true))
        #expect(try properties(connection)["enable.ssl.certificate.verification"] == "false")
        #expect(try properties(connection)["ssl.endpoint.identification.algorithm"] == "none")
        // Suites that authenticate nobody are never offered.
        connection.tls = .init()
        connection.properties = ["ssl.cipher.suites": "ALL:aNULL"]
        #expect(try properties(connection)["ssl.cipher.suites"] == "ALL:aNULL:!aNULL:!eNULL")
        // What belongs to encryption is no use without.
        connection.tls = nil
        connection.properties = ["ssl.ca.location": "/ca.pem"]
        #expect(throws: LockError.self) { try properties(connection) }
        // Other mechanisms are switched on by their own properties.
        connection.properties = ["sasl.mechanism": "OAUTHBEARER"]
        #expect(try properties(connection)["security.protocol"] == "sasl_plaintext")
        connection.tls = .init()
        #expect(try properties(connection)["security.protocol"] == "sasl_ssl")
    }
}
