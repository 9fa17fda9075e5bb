import MQLock
import Testing

@testable import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Darwin)
import Darwin
#endif

/// Addresses of one host and hosts of one URI get their share of the time: one that works is reached, whatever the others
/// do, and in whatever order they come.
@Suite("Hosts and addresses", .serialized, .timeLimit(.minutes(1)))
struct SharedTimeTests {
    /// The time for all; a test that gets stuck in one of them hangs for it.
    private let timeout = Duration.seconds(6)

    private func address(_ settings: SessionSettings) throws -> SocketAddress {
        try #require(Resolver.numeric(Endpoint.Host(name: "127.0.0.1", port: settings.endpoint.port))?.first)
    }

    private func settings() throws -> SessionSettings {
        try SessionSettings(.init(uri: "amqp://u:p@127.0.0.1?heartbeat=1"))
    }

    /// Of several addresses of one name, some of which are of no use.
    @Test(arguments: [UnwillingPeer.nobody, .accepts, .acceptsNot, .hangsUp, .stopsInTheLogin, .trickles], [0, 1, 2])
    func theAddressThatWorks(_ peer: UnwillingPeer, at place: Int) async throws {
        let server = try FakeServer(saying: Frames.login(heartbeat: 1))
        let (keep, change) = try peer.start()
        var (bad, good) = (try settings(), try settings())
        change(&bad)
        good.endpoint.port = server.port
        var addresses = [try address(bad), try address(bad)]
        addresses.insert(try address(good), at: place)
        var endpoint = good.endpoint
        endpoint.host = "broker.test"
        let found = addresses
        let attempt = try ConnectionAttempt { _ throws(ConnectionFailure) in found }
        let connection = try await opened(endpoint, attempt)
        #expect(connection == server.port)
        withExtendedLifetime((keep, server)) {}
    }

    /// Of several hosts in the URI.
    @Test(arguments: [UnwillingPeer.nobody, .accepts, .acceptsNot, .hangsUp, .stopsInTheLogin, .trickles], [0, 1, 2])
    func theHostThatWorks(_ peer: UnwillingPeer, at place: Int) async throws {
        let server = try FakeServer(saying: Frames.login(heartbeat: 1))
        let (keep, change) = try peer.start()
        var bad = try settings()
        change(&bad)
        var ports = [bad.endpoint.port, bad.endpoint.port]
        ports.insert(server.port, at: place)
        // To name one twice would be refused.
        let names = ["127.0.0.1", "localhost", "127.1"]
        let text = "amqp://u:p@\(zip(names, ports).map { "\($0):\($1)" }.joined(separator: ","))"
        let endpoint = try AMQPURI.parse(text)
        #expect(try await opened(endpoint, try ConnectionAttempt()) == server.port, "\(text)")
        withExtendedLifetime((keep, server)) {}
    }

    /// A refusal is the cluster's, and is not asked for again elsewhere.
    @Test func aRefusalIsFinal() async throws {
        let refusal =
            Frames.method(0, 10, 10, [0, 9] + Frames.bytes(UInt32(0)) + Frames.long("PLAIN") + Frames.long("en_US"))
            + Frames.method(0, 10, 50, Frames.bytes(UInt16(403)) + Frames.short("ACCESS_REFUSED") + [0, 0, 0, 0])
        let refusing = try FakeServer(saying: refusal)
        let server = try FakeServer(saying: Frames.login(heartbeat: 1))
        let endpoint = try AMQPURI.parse("amqp://127.0.0.1:\(refusing.port),127.0.0.1:\(server.port)")
        await #expect(throws: ConnectionFailure(.refusedCredentials("ACCESS_REFUSED"))) {
            _ = try await opened(endpoint, try ConnectionAttempt())
        }
    }

    @Test func nobodyAnswers() async throws {
        let (keep, change) = try UnwillingPeer.accepts.start()
        var bad = try settings()
        change(&bad)
        let nobody = try FakeServer(saying: nil).port
        let endpoint = try AMQPURI.parse(
            "amqp://127.0.0.1:\(nobody),127.0.0.1:\(bad.endpoint.port)?connection_timeout=400")
        let failure = await #expect(throws: ConnectionFailure.self) {
            _ = try await opened(endpoint, try ConnectionAttempt())
        }
        // Each with its own reason.
        #expect(failure?.message.contains("127.0.0.1:\(nobody)") == true)
        #expect(
            failure?.message.contains("127.0.0.1:\(bad.endpoint.port) did not complete") == true, "\(failure as Any)")
        withExtendedLifetime(keep) {}
    }

    /// On two brokers that know nothing of each other, two programs would hold one lock.
    @Test func anotherClusterIsRefused() throws {
        func cluster(_ host: String, _ name: String) -> KnownCluster {
            KnownCluster(host: .init(name: host, port: 5672), name: name)
        }
        let known = cluster("a", "one")
        try known.check(cluster("b", "one"))
        // The same host may have been given another name.
        try known.check(cluster("a", "two"))
        #expect(throws: ConnectionFailure.self) { try known.check(cluster("b", "two")) }
    }

    @Test func afterALossTheNextHostComesFirst() throws {
        let endpoint = try AMQPURI.parse("amqp://u:p@a,b:1,c/v?heartbeat=5")
        let hosts = endpoint.hosts
        #expect(hosts.map(\.address) == ["a:5672", "b:1", "c:5672"])
        #expect(endpoint.beginning(at: hosts[1]).hosts == [hosts[1], hosts[2], hosts[0]])
        #expect(endpoint.beginning(after: hosts[0]).hosts == [hosts[1], hosts[2], hosts[0]])
        #expect(endpoint.beginning(after: hosts[2]).hosts == hosts)
        #expect(endpoint.beginning(at: .init(name: "x", port: 1)) == endpoint)
        #expect(endpoint.at(hosts[1]).hosts == [hosts[1]])
        #expect(endpoint.at(hosts[1]).vhost == "v")
    }

    @Test func familiesTakeTurns() throws {
        let addresses = try ["127.0.0.1", "127.0.0.2", "127.0.0.3", "::1", "::2"].map {
            try #require(Resolver.numeric(.init(name: $0, port: 1))?.first)
        }
        let order = [addresses[0], addresses[3], addresses[1], addresses[4], addresses[2]]
        #expect(Resolver.interleaved(addresses) == order)
    }

    /// The port of what it is connected to, or was for a moment.
    private func opened(_ endpoint: Endpoint, _ attempt: ConnectionAttempt) async throws -> Int {
        let port = OneShot<Result<Int, ConnectionFailure>>()
        let timeout = timeout
        _ = LoopThread.start(name: "test") {
            port.fulfil(
                Result { () throws(ConnectionFailure) in
                    let connection = try AMQPConnection.open(endpoint, timeout: timeout, attempt: attempt)
                    defer { connection.abort() }
                    return connection.socket.peerPort
                })
        }
        return try await port.value(within: .seconds(50)).get()
    }
}

extension SocketHandle {
    fileprivate var peerPort: Int {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafeMutablePointer(to: &address) { address in
            address.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &length) }
        }
        return Int(UInt16(bigEndian: address.sin_port))
    }
}
