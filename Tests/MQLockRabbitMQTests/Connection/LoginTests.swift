import MQLock
import Testing

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

@Suite("Login without a broker", .serialized)
struct LoginWithoutBrokerTests {
    /// What might listen at the port that somebody got wrong.
    static let foreignServers: [[UInt8]] = [
        Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), Array("+PONG\r\n+PONG\r\n".utf8),
        Array("AMQP\u{0}\u{0}\u{9}\u{1}".utf8), Array("AMQP\u{3}\u{1}\u{0}\u{0}".utf8),
        Array("SSH-2.0-OpenSSH_9.2\r\n".utf8), [UInt8](repeating: 0, count: 64), [UInt8](repeating: 0xFF, count: 64),
        [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 99, 0xCE], [1, 0, 0, 0, 0, 0, 4, 0, 99, 0, 10, 0xCE],
        [1, 0, 0, 0, 0, 0, 4, 0, 10, 0, 10, 0xCE], [8, 0, 0, 0, 0, 0, 0, 0xCE, 3, 0, 0, 0, 0, 0, 0, 0xCE],
    ]

    @Test(arguments: foreignServers)
    func notABroker(_ reply: [UInt8]) throws {
        let server = try FakeServer(saying: reply)
        let endpoint = try AMQPURI.parse("amqp://u:secret@127.0.0.1:\(server.port)")
        let failure = try #require(openFailure(endpoint, timeout: .milliseconds(300)))
        switch failure.kind {
        case .protocolMismatch: break
        // Bytes that could be the beginning of a frame: it waits for the rest.
        case .timedOut where reply.count < 65: break
        default: Issue.record("\(failure)")
        }
        #expect(!failure.isPermanent)
    }

    @Test func silence() throws {
        let server = try FakeServer(saying: [])
        let endpoint = try AMQPURI.parse("amqp://127.0.0.1:\(server.port)?connection_timeout=200")
        let start = ContinuousClock.now
        let failure = try #require(openFailure(endpoint))
        guard case .timedOut = failure.kind else { throw failure }
        let elapsed = ContinuousClock.now - start
        #expect(elapsed >= .milliseconds(190) && elapsed < .seconds(3))
    }

    @Test func hangsUp() throws {
        let server = try FakeServer(saying: nil)
        let failure = try #require(openFailure(AMQPURI.parse("amqp://127.0.0.1:\(server.port)")))
        guard case .transport = failure.kind else { throw failure }
        #expect(failure.message.contains("amqps"))
    }

    @Test func nothingListens() throws {
        // A port that was free a moment ago.
        let port = try FakeServer(saying: nil).port
        let failure = try #require(openFailure(AMQPURI.parse("amqp://127.0.0.1:\(port)")))
        guard case .unreachable(let text) = failure.kind else { throw failure }
        #expect(text.contains("127.0.0.1:\(port)"))
        #expect(!failure.isPermanent)
    }

    @Test func unknownHost() throws {
        let failure = try #require(openFailure(AMQPURI.parse("amqp://no-such-host.invalid")))
        guard case .unreachable(let text) = failure.kind else { throw failure }
        #expect(text.contains("no-such-host.invalid"))
    }

    @Test func tlsFilesThatCannotBeRead() throws {
        for query in ["cacertfile=/nowhere/ca.pem", "insecure=true&certfile=/nowhere/c&keyfile=/nowhere/k"] {
            let failure = try #require(openFailure(AMQPURI.parse("amqps://127.0.0.1:1?\(query)")))
            guard case .configuration(let text) = failure.kind else { throw failure }
            #expect(text.contains("/nowhere/"))
            #expect(failure.isPermanent)
        }
    }

    @Test func tlsToOneThatDoesNotSpeakIt() throws {
        let server = try FakeServer(saying: Array("hello, I am no TLS server\r\n".utf8))
        let failure = try #require(openFailure(AMQPURI.parse("amqps://localhost:\(server.port)?insecure=true")))
        guard case .tls = failure.kind else { throw failure }
    }

    @Test func refusalsAreDistinguishedByText() {
        let rows: [(UInt16, String, ConnectionFailure.Kind, Bool)] = [
            (403, "ACCESS_REFUSED", .refusedCredentials("ACCESS_REFUSED"), true),
            (530, "NOT_ALLOWED - vhost x not found", .vhostNotFound("NOT_ALLOWED - vhost x not found"), true),
            (
                530, "access to vhost 'x' refused for user 'u'",
                .vhostRefused("access to vhost 'x' refused for user 'u'"), true
            ),
            (541, "vhost 'x' is down", .brokerClosed(code: 541, text: "vhost 'x' is down"), false),
        ]
        for (code, text, kind, isPermanent) in rows {
            let failure = ConnectionFailure(loginRefusedWith: code, text: text, by: Endpoint())
            #expect(failure.kind == kind)
            #expect(failure.isPermanent == isPermanent)
        }
    }

    /// By the specification that is what a / before the ? means; hardly anybody means it.
    @Test(arguments: ["NOT_ALLOWED - vhost  not found", "NOT_ALLOWED - access to vhost '' refused for user 'u'"])
    func theEmptyVirtualHostIsExplained(_ text: String) throws {
        func failure(_ uri: String) throws -> ConnectionFailure {
            ConnectionFailure(loginRefusedWith: 530, text: text, by: try AMQPURI.parse(uri))
        }
        let failed = try failure("amqp://u:s3cret@h:1/?heartbeat=2")
        #expect(
            failed.message == """
                \(text): the / before the ? of the URI names the virtual host with the empty name; leave it out to mean the \
                default one: amqp://u:***@h:1?heartbeat=2
                """)
        #expect(failed.isPermanent && LockError(failed).code == .accessRefused)
        #expect(try failure("amqps://h/").message.contains("the / at the end of the URI"))
        #expect(try failure("amqps://h/").message.hasSuffix(": amqps://h"))
        for uri in ["amqp://h:1?heartbeat=2", "amqp://h/%2f"] {
            #expect(try !failure(uri).message.contains("the empty name"))
        }
    }
}

extension BrokerConnectionTests {
    @Suite("Login")
    struct LoginTests {
        @Test func negotiates() throws {
            var endpoint = try TestBroker.endpoint()
            endpoint.heartbeat = 7
            endpoint.channelMax = 33
            let wire = try Wire(endpoint)
            let connection = wire.connection
            #expect(connection.heartbeat == .seconds(7))
            #expect(connection.serviceInterval == .milliseconds(1750))
            #expect(connection.channelMax == 33)
            #expect(connection.frameMax == 131_072)
            #expect(connection.server.product == "RabbitMQ")
            #expect(connection.server.version?.split(separator: ".").count ?? 0 >= 3)
            #expect(connection.server.clusterName?.isEmpty == false)
            #expect(connection.server.has(capability: "consumer_cancel_notify"))
            #expect(connection.server.has(capability: "publisher_confirms"))
            #expect(!connection.server.has(capability: "telepathy"))
            connection.close()
            connection.close()
            #expect(throws: ConnectionFailure.self) { try connection.channelOpen(1) }
        }

        @Test func wrongPassword() throws {
            var endpoint = try TestBroker.endpoint()
            endpoint.password = "s3cret-and-wrong"
            let failure = try #require(openFailure(endpoint))
            guard case .refusedCredentials(let text) = failure.kind else { throw failure }
            #expect(text.contains("ACCESS_REFUSED"))
            #expect(!failure.message.contains("s3cret"))
            #expect(failure.isPermanent)
        }

        @Test(arguments: ["no such vhost", ""])
        func unknownVhost(_ vhost: String) throws {
            var endpoint = try TestBroker.endpoint()
            endpoint.vhost = vhost
            let failure = try #require(openFailure(endpoint))
            guard case .vhostNotFound = failure.kind else { throw failure }
            #expect(failure.isPermanent)
        }

        /// And what the refusal shows instead works.
        @Test func aSlashBeforeTheQuery() throws {
            let endpoint = try TestBroker.endpoint()
            let (user, password) = (
                PercentCoding.uri.encode(endpoint.user), PercentCoding.uri.encode(endpoint.password)
            )
            let uri = "amqp://\(user):\(password)@\(endpoint.address)/?heartbeat=2"
            let failure = try #require(openFailure(AMQPURI.parse(uri)))
            guard case .emptyVhost(_, let instead) = failure.kind else { throw failure }
            #expect(failure.message.contains("the / before the ? of the URI"), "\(failure)")
            #expect(instead == "amqp://\(user):***@\(endpoint.address)?heartbeat=2")
            #expect(openFailure(try AMQPURI.parse(instead.replacing("***", with: password))) == nil)
        }

        @Test func externalIsNotOffered() throws {
            var endpoint = try TestBroker.endpoint()
            endpoint.mechanism = .external
            let failure = try #require(openFailure(endpoint))
            guard case .refusedCredentials(let text) = failure.kind else { throw failure }
            #expect(text.contains("EXTERNAL"))
        }

        @Test func manyLoginsLeakNoDescriptor() async throws {
            func next() -> Int32 {
                let descriptor = dup(0)
                close(descriptor)
                return descriptor
            }
            try Wire().connection.close()
            let before = next()
            for round in 0..<20 {
                let wire = try Wire()
                switch round % 3 {
                case 0: wire.connection.close()
                case 1: wire.connection.abort()
                default: break
                }
            }
            var wrong = try TestBroker.endpoint()
            wrong.password = "wrong"
            for _ in 0..<3 { _ = openFailure(wrong) }
            // Other suites open files at the same time, and close them again.
            try await eventually(within: .seconds(60), "as few descriptors as before") { next() <= before + 8 }
        }
    }
}
