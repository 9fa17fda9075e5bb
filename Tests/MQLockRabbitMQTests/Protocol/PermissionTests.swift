import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Users with exactly the permissions that the article names can do exactly what it says.
    @Suite struct PermissionTests {
        private let broker: LiveBroker
        private let vectors: ProtocolVectors

        init() throws {
            broker = try LiveBrokerTests.broker()
            vectors = try ProtocolVectors.all.get()
        }
    }
}

extension LiveBrokerTests.PermissionTests {
    @Test(arguments: RabbitMQLocks.Mutex.allCases) func aHolder(_ mutex: RabbitMQLocks.Mutex) async throws {
        try await withUser(mutex.description) { uri in
            try await broker.withName { name in
                try await acquire(name, mutex, uri)
                // Also where the queues are there, and, for the token, where one of them has gone.
                try await acquire(name, mutex, uri)
                if mutex == .token {
                    try broker.raw { try $0.delete(try broker.objects(name).queue) }
                    try await acquire(name, mutex, uri)
                }
                // To see others is another permission.
                let view = await view(of: name, uri)
                #expect(throws: LockError.self) { try view.get() }
            }
        }
    }

    @Test func whoDoesAJobOnce() async throws {
        try await withUser("sac", "once") { uri in
            try await broker.withName { name in
                let locks = try locks(.singleActiveConsumer, uri)
                for isFirst in [true, false] {
                    let result = try await locks.once(name, for: .key("k"), within: .seconds(30)) { _ in }
                    #expect((result.mark == nil) == isFirst)
                }
                await locks.shutdown()
            }
        }
        // Locks as such need less.
        try await withUser("sac") { uri in
            try await broker.withName { name in
                let locks = try locks(.singleActiveConsumer, uri)
                let error = await #expect(throws: LockError.self) {
                    try await locks.once(name, for: .key("k"), within: .seconds(30)) { _ in }
                }
                #expect(error?.code == .accessRefused)
                await locks.shutdown()
            }
        }
    }

    @Test func anObserver() async throws {
        try await withUser("sac", "seen") { holderURI in
            try await withUser("observer") { uri in
                try await broker.withName { name in
                    let locks = try locks(.singleActiveConsumer, holderURI)
                    let held = try await locks.acquire(name)
                    try await eventually("the holder is seen") {
                        try await view(of: name, uri).get().holders.first?.fencingToken == held.lease.fencingToken
                    }
                    let error = await #expect(throws: LockError.self) {
                        try await acquire(name, .singleActiveConsumer, uri)
                    }
                    #expect(error?.code == .accessRefused)
                    #expect(held.lease.isValid)
                    try await held.release()
                    await locks.shutdown()
                }
            }
        }
    }

    private func withUser(_ roles: String..., do body: (_ uri: String) async throws -> Void) async throws {
        let user = "test-\(UInt64.random(in: 0 ... .max))"
        let permissions = vectors.permissions.filter { roles.contains($0.role) }
        try #require(permissions.count == roles.count)
        func pattern(_ which: KeyPath<ProtocolVectors.Permission, String>) -> String {
            permissions.map { $0[keyPath: which] }.joined(separator: "|")
        }
        try await broker.ctl("-q", "add_user", user, user)
        try await broker.ctl("-q", "set_permissions", user, pattern(\.configure), pattern(\.write), pattern(\.read))
        let address = try #require(broker.uri.split(separator: "@").last)
        let result: Result<Void, any Error>
        do { result = .success(try await body("amqp://\(user):\(user)@\(address)")) } catch { result = .failure(error) }
        try await broker.ctl("-q", "delete_user", user)
        try result.get()
    }

    private func locks(_ mutex: RabbitMQLocks.Mutex, _ uri: String) throws -> RabbitMQLocks {
        try broker.locks(mutex: mutex) { $0.uri = "\(uri)?heartbeat=2" }
    }

    private func acquire(_ name: LockName, _ mutex: RabbitMQLocks.Mutex, _ uri: String) async throws {
        let locks = try locks(mutex, uri)
        let result: Result<Void, LockError>
        do throws(LockError) {
            result = .success(try await locks.acquire(name, within: .seconds(30)).release())
        } catch {
            result = .failure(error)
        }
        await locks.shutdown()
        try result.get()
    }

    private func view(of name: LockName, _ uri: String) async -> Result<LockView, LockError> {
        do throws(LockError) {
            return .success(try await RabbitMQInspector(.init(uri: uri)).view(name))
        } catch {
            return .failure(error)
        }
    }
}
