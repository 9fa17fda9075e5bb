import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// A lock over TLS is the same lock.
    @Suite(.enabled(if: TLSBroker.isThere, TLSBroker.reason)) struct TLSLockTests {}
}

extension LiveBrokerTests.TLSLockTests {
    private func tls(_ change: (String) throws -> String = { $0 }) throws -> LiveBroker {
        LiveBroker(uri: try change(try #require(TLSBroker.uri)) + "&heartbeat=2", control: nil)
    }

    private func encoded(_ file: String) throws -> String { PercentCoding.uri.encode(try TLSBroker.file(file)) }

    /// Contended with a provider over plain text; both see the other, and neither has anything to warn of.
    @Test func sharedWithPlainText() async throws {
        let log = EventLog()
        let (secure, plain) = (try tls().locks("", observer: log), try LiveBrokerTests.broker().locks(observer: log))
        try await LiveBrokerTests.broker().withName { name in
            let held = try await secure.acquire(name, within: .seconds(20))
            #expect(try await plain.tryAcquire(name) == nil)
            async let next = plain.withLock(name, within: .seconds(20)) { $0.fencingToken }
            try await LiveBrokerTests.broker().waitForLine(of: name, 1)
            let first = held.lease.fencingToken
            try await held.release()
            let second = try await next
            #expect(second > first)
            #expect(try await secure.withLock(name, within: .seconds(20)) { $0.fencingToken } > second)
        }
        await secure.shutdown()
        await plain.shutdown()
        _ = try await log.first(.stopped)
        #expect(log.events.filter { $0.kind == .connected }.count == 2)
        #expect(!log.events.contains { $0.kind == .warning })
    }

    /// Longer than the proof of life, so that it has been renewed over TLS.
    @Test func outlivesTheFirstProof() async throws {
        let locks = try tls().locks("") { $0.heartbeat = .seconds(1) }
        try await LiveBrokerTests.broker().withName { name in
            let held = try await locks.acquire(name, within: .seconds(20))
            try await Task.sleep(for: .seconds(3), clock: .continuous)
            #expect(held.lease.isValid)
            try await held.release()
        }
        await locks.shutdown()
    }

    @Test func externalUser() async throws {
        let (certificate, key) = (try encoded("client.pem"), try encoded("client.key"))
        let broker = try tls {
            $0.replacing("guest:guest@", with: "") + "&auth_mechanism=external&certfile=\(certificate)&keyfile=\(key)"
        }
        let locks = try broker.locks("")
        try await LiveBrokerTests.broker().withName { name in
            try await locks.acquire(name, within: .seconds(20)).release()
        }
        await locks.shutdown()
    }

    @Test func anInsecureConnectionWarns() async throws {
        let log = EventLog()
        let locks = try tls { $0.prefix { $0 != "?" } + "?insecure=true" }.locks("", observer: log)
        try await LiveBrokerTests.broker().withName { name in
            try await locks.acquire(name, within: .seconds(20)).release()
        }
        let warning = try await log.first(.warning)
        #expect(warning.detail?.contains("insecure=true") == true)
        await locks.shutdown()
    }

    /// The provider's own error names the remedy.
    @Test func anUnknownAuthorityIsReported() async throws {
        let locks = try tls { $0.prefix { $0 != "?" } + "?server_name_indication=localhost" }.locks("") {
            $0.startupTimeout = .seconds(1)
        }
        let name: LockName = "test/tls/unknown-authority"
        let error = await #expect(throws: LockError.self) { _ = try await locks.acquire(name, within: .seconds(20)) }
        #expect(error?.code == .unreachable)
        #expect(error?.message.contains("cacertfile=") == true)
        await locks.shutdown()
    }
}
