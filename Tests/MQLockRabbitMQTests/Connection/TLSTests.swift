import Testing

@testable import MQLockRabbitMQ

@Suite("TLS", .serialized, .enabled(if: TLSBroker.isThere, TLSBroker.reason))
struct TLSTests {
    private func tlsFailure(_ endpoint: Endpoint) throws -> String {
        let failure = try #require(openFailure(endpoint))
        guard case .tls(let text) = failure.kind else { throw failure }
        return text
    }

    // MARK: The broker

    @Test func verifiesAndTalks() throws {
        let wire = try Wire(try TLSBroker.endpoint())
        let queue = Wire.uniqueName()
        try wire.declare(queue)
        let body = [UInt8](repeating: 9, count: 400_000)
        for _ in 0..<20 { try wire.connection.basicPublish(1, exchange: "", routingKey: queue, body: body) }
        try wire.connection.basicConsume(1, queue, tag: "c", noAck: true)
        try wire.expect(.consumeOK(channel: 1, tag: "c"))
        for _ in 0..<20 { #expect(try wire.expectDelivery().body == body) }
        try wire.delete(queue)
        wire.connection.close()
    }

    /// With the system's authorities, and with one that the broker's certificate is not from.
    @Test func refusesAnUnknownAuthority() async throws {
        #expect(try tlsFailure(try TLSBroker.endpoint { $0.caCertificateFile = nil }).contains("cacertfile="))
        let other = try await TestCertificate(for: "localhost", selfSigned: true)
        #expect(try tlsFailure(try TLSBroker.endpoint { $0.caCertificateFile = other.file }).contains("not trusted"))
    }

    @Test func refusesAnotherHost() throws {
        var endpoint = try TLSBroker.endpoint()
        endpoint.host = "127.0.0.1"
        #expect(try tlsFailure(endpoint).contains("not for this host"))
    }

    @Test func insecureTakesAnyCertificate() throws {
        var endpoint = try TLSBroker.endpoint {
            $0.caCertificateFile = nil
            $0.verifiesPeer = false
        }
        endpoint.host = "127.0.0.1"
        #expect(openFailure(endpoint) == nil)
    }

    // MARK: Other servers

    /// Serves a certificate that our authority has signed, and connects to it.
    private func failure(
        for host: String = "localhost", isExpired: Bool = false, options: [String] = []
    ) async throws -> ConnectionFailure {
        let certificate = try await TestCertificate(for: host, isExpired: isExpired)
        let server = try TLSServer(certificate, options: options)
        var endpoint = try TLSBroker.endpoint()
        endpoint.port = server.port
        return try withExtendedLifetime(server) {
            try #require(openFailure(endpoint, timeout: .milliseconds(500)))
        }
    }

    /// What the refusals below are to be compared with.
    @Test(arguments: [[], ["-tls1_2"], ["-tls1_3"]])
    func trustsWhatTheAuthorityHasSigned(options: [String]) async throws {
        let failure = try await failure(options: options)
        if case .tls = failure.kind { throw failure }
    }

    @Test func refusesAnExpiredCertificate() async throws {
        let failure = try await failure(isExpired: true)
        guard case .tls(let text) = failure.kind else { throw failure }
        #expect(text.contains("expired"))
    }

    @Test func refusesACertificateOfAnotherName() async throws {
        let failure = try await failure(for: "broker.example")
        guard case .tls(let text) = failure.kind else { throw failure }
        #expect(text.contains("not for this host"))
    }

    @Test func refusesTLS11() async throws {
        let failure = try await failure(options: ["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"])
        guard case .tls = failure.kind else { throw failure }
    }

    /// However a test ends that started one.
    @Test func aServerEndsWithItsOwner() async throws {
        var server: TLSServer? = try TLSServer(try await TestCertificate(for: "localhost"))
        var endpoint = try TLSBroker.endpoint()
        endpoint.port = try #require(server?.port)
        server = nil
        let failure = try #require(openFailure(endpoint))
        guard case .unreachable = failure.kind else { throw failure }
    }

    // MARK: Client certificates

    private func withClientCertificate(_ mechanism: Endpoint.Mechanism) throws -> Endpoint {
        var endpoint = try TLSBroker.endpoint {
            $0.certificateFile = try TLSBroker.file("client.pem")
            $0.keyFile = try TLSBroker.file("client.key")
        }
        endpoint.mechanism = mechanism
        return endpoint
    }

    /// The broker takes the user from the certificate, whatever the URI says.
    @Test(arguments: [Endpoint.Mechanism.plain, .external])
    func presentsAClientCertificate(mechanism: Endpoint.Mechanism) async throws {
        var endpoint = try withClientCertificate(mechanism)
        if mechanism == .external { (endpoint.user, endpoint.password) = ("nobody", "") }
        let connection = try AMQPConnection.open(endpoint)
        defer { connection.close() }
        guard let broker = LiveBroker.shared, broker.control != nil else { return }
        let list = try await broker.ctl("-q", "list_connections", "user", "auth_mechanism", "peer_cert_subject")
        #expect(list.contains("guest\t\(mechanism == .plain ? "PLAIN" : "EXTERNAL")\tCN=guest"), "\(list)")
    }

    @Test func externalNeedsACertificate() throws {
        var endpoint = try TLSBroker.endpoint()
        endpoint.mechanism = .external
        let failure = try #require(openFailure(endpoint))
        guard case .refusedCredentials(let text) = failure.kind else { throw failure }
        #expect(text.contains("EXTERNAL"))
    }

    @Test func aClientCertificateThatTheBrokerDoesNotTrust() async throws {
        let certificate = try await TestCertificate(for: "guest", selfSigned: true)
        let endpoint = try TLSBroker.endpoint {
            ($0.certificateFile, $0.keyFile) = (certificate.file, certificate.keyFile)
        }
        let failure = try #require(openFailure(endpoint))
        #expect(failure.message.contains("client certificate"), "\(failure)")
    }

    @Test func aKeyOfAnotherCertificate() throws {
        let endpoint = try TLSBroker.endpoint {
            $0.certificateFile = try TLSBroker.file("client.pem")
            $0.keyFile = try TLSBroker.file("server.key")
        }
        let failure = try #require(openFailure(endpoint))
        guard case .configuration(let text) = failure.kind else { throw failure }
        #expect(text.contains("do not belong together"))
    }
}
