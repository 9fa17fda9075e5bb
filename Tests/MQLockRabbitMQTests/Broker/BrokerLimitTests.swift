import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Limits of the broker's, each reached for real, in a virtual host and by a user of the test's own.
    @Suite(.enabled(if: LiveBroker.shared?.control != nil, "needs rabbitmqctl: brokers/with --rabbitmq -- swift test"))
    struct BrokerLimitTests {}
}

extension LiveBrokerTests.BrokerLimitTests {
    private func locks(_ uri: String, mutex: RabbitMQLocks.Mutex = .singleActiveConsumer) throws -> RabbitMQLocks {
        try LiveBrokerTests.broker().locks(mutex: mutex) { $0.uri = "\(uri)?heartbeat=2" }
    }

    private func failure(_ body: () async throws(LockError) -> Void) async -> LockError? {
        do throws(LockError) { try await body() } catch { return error }
        return nil
    }

    @Test(arguments: RabbitMQLocks.Mutex.allCases) func queues(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withUser { uri, vhost, _ in
            try await broker.ctl("-q", "set_vhost_limits", "-p", vhost, #"{"max-queues": 0}"#)
            let locks = try locks(uri, mutex: mutex)
            for error in [
                await failure { () throws(LockError) in
                    try await locks.acquire("limited", within: .seconds(20)).release()
                },
                await failure { () throws(LockError) in try await locks.verify(within: .seconds(20)) },
            ] {
                #expect(error?.code == .limitExceeded)
                #expect(
                    error?.message.contains("limit") == true && error?.message.contains("delete") == false,
                    "\(error as Any)")
            }
            await locks.shutdown()
        }
    }

    @Test(arguments: ["vhost", "user"]) func connections(_ whose: String) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withUser { uri, vhost, user in
            if whose == "vhost" {
                try await broker.ctl("-q", "set_vhost_limits", "-p", vhost, #"{"max-connections": 0}"#)
            } else {
                try await broker.ctl("-q", "set_user_limits", user, #"{"max-connections": 0}"#)
            }
            let locks = try locks(uri)
            let error = await failure { () throws(LockError) in
                try await locks.acquire("limited", within: .seconds(1)).release()
            }
            #expect(error?.code == .unreachable)
            #expect(error?.message.contains("a limit of the broker's is reached") == true, "\(error as Any)")
            #expect(locks.lastError?.message.contains("connection limit (0) is reached") == true)
            await locks.shutdown()
        }
    }

    /// Of the two connections of a session the second does not come up.
    @Test func oneConnection() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withUser { uri, vhost, _ in
            try await broker.ctl("-q", "set_vhost_limits", "-p", vhost, #"{"max-connections": 1}"#)
            let locks = try locks(uri)
            let error = await failure { () throws(LockError) in try await locks.verify(within: .seconds(2)) }
            #expect(error?.code == .unreachable)
            #expect(
                error?.message.contains("limit") == true && error?.message.contains("publishing") == true,
                "\(error as Any)")
            #expect(locks.isConnected)
            await locks.shutdown()
        }
    }

    /// Whoever cannot publish says so, and holds up nobody: neither those behind it, nor a caller that has set a limit.
    @Test(arguments: RabbitMQLocks.Mutex.allCases) func withoutPublishing(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withUser { uri, vhost, user in
            let administrator = "admin-\(user)"
            try await broker.ctl("-q", "add_user", administrator, "s3cret")
            try await broker.ctl("-q", "set_permissions", "-p", vhost, administrator, ".*", ".*", ".*")
            try await broker.ctl("-q", "set_user_limits", user, #"{"max-connections": 1}"#)
            let other = try locks(uri.replacing("//\(user):", with: "//\(administrator):"), mutex: mutex)
            let log = EventLog()
            let limit = Duration.seconds(2)
            let locks = try broker.locks(mutex: mutex, observer: log) {
                $0.uri = "\(uri)?heartbeat=2"
                $0.startupTimeout = limit
            }
            // A new name needs a token: the limit for the start is for that, too.
            let tried = await failure { () throws(LockError) in _ = try await locks.tryAcquire("new") }
            let waited = await failure { () throws(LockError) in _ = try await locks.acquire("new") }
            for error in [tried, waited] {
                #expect(error?.code == .unreachable && error?.message.contains("publishing") == true, "\(error as Any)")
            }
            #expect(log.events.contains { $0.kind == .foreign && $0.detail?.contains("publishing") == true })
            // Where there is one, nothing has to be published.
            try await other.acquire("new", within: .seconds(20)).release()
            try await locks.acquire("new", within: .seconds(20)).release()
            await locks.shutdown()
            await other.shutdown()
            try await broker.ctl("-q", "delete_user", administrator)
        }
    }

    /// A hold that proves itself by the queue needs a message. Without one its contender leaves the head of the line to the
    /// next, again and again, and is granted the lock when it can publish.
    @Test func withoutProof() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withUser { uri, vhost, user in
            let administrator = "admin-\(user)"
            try await broker.ctl("-q", "add_user", administrator, "s3cret")
            try await broker.ctl("-q", "set_permissions", "-p", vhost, administrator, ".*", ".*", ".*")
            let other = try locks(uri.replacing("//\(user):", with: "//\(administrator):"))
            try await other.acquire("proven", within: .seconds(20)).release()
            try await broker.ctl("-q", "set_user_limits", user, #"{"max-connections": 1}"#)
            let log = EventLog()
            let locks = try broker.locks(mutex: .singleActiveConsumer, observer: log) {
                $0.uri = "\(uri)?heartbeat=2&proof=quorum"
                $0.requestTimeout = .seconds(1)
            }
            let tried = await failure { () throws(LockError) in _ = try await locks.tryAcquire("proven") }
            #expect(tried?.code == .unreachable && tried?.message.contains("publishing") == true, "\(tried as Any)")
            let stuck = Contender(locks, "proven")
            _ = try await log.first(.foreign) { $0.detail?.contains("publishing") == true }
            for _ in 0..<3 { try await other.acquire("proven", within: .seconds(20)).release() }
            #expect(stuck.outcome.current == nil)
            try await broker.ctl("-q", "clear_user_limits", user, "all")
            #expect(try await stuck.lease().isValid)
            try await stuck.release()
            await locks.shutdown()
            await other.shutdown()
            try await broker.ctl("-q", "delete_user", administrator)
        }
    }

    /// The broker ends the whole connection for one channel too many. The session after it does with fewer.
    @Test(arguments: [2, 4, 9]) func channels(_ limit: Int) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withUser { uri, _, user in
            try await broker.ctl("-q", "set_user_limits", user, #"{"max-channels": \#(limit)}"#)
            let locks = try locks(uri)
            let error = await failure { () throws(LockError) in
                try await locks.acquire("limited", within: .seconds(10)).release()
            }
            if let error {
                // Refused here for want of channels, or in the broker's words when it ends the session.
                #expect(error.code == .limitExceeded || error.message.contains("limit"), "\(error)")
            } else {
                #expect(limit > 2)
            }
            await locks.shutdown()
        }
    }
}

extension LiveBrokerTests.BrokerLimitTests {
    // MARK: Verifying

    /// Whoever may lock passes, and leaves nothing; whoever lacks one permission learns which.
    @Test(arguments: RabbitMQLocks.Mutex.allCases) func verifying(_ mutex: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        let permissions = try ProtocolVectors.all.get().permissions
        let minimal = try #require(permissions.first { $0.role == mutex.description })
        try await broker.withUser { uri, vhost, user in
            try await broker.ctl(
                "-q", "set_permissions", "-p", vhost, user, minimal.configure, minimal.write, minimal.read)
            let log = EventLog()
            let locks = try broker.locks(mutex: mutex, observer: log) { $0.uri = "\(uri)?heartbeat=2" }
            #expect(!locks.isConnected && locks.lastError == nil)
            try await locks.verify()
            #expect(locks.isConnected && locks.lastError == nil)
            try await locks.acquire("allowed", within: .seconds(20)).release()
            await locks.shutdown()
            #expect(!locks.isConnected)
            let left = try await broker.ctl("-q", "list_queues", "-p", vhost, "name", "--no-table-headers")
            #expect(!left.contains("verify"), "\(left)")

            for index in 0..<3 {
                var patterns = [minimal.configure, minimal.write, minimal.read]
                patterns[index] = "^$"
                try await broker.ctl("-q", "set_permissions", "-p", vhost, user, patterns[0], patterns[1], patterns[2])
                let locks = try self.locks(uri, mutex: mutex)
                let error = await failure { () throws(LockError) in try await locks.verify(within: .seconds(20)) }
                #expect(error?.code == .accessRefused, "\(patterns): \(error as Any)")
                #expect(error?.message.contains("permission") == true)
                await locks.shutdown()
            }
        }
    }

    /// A wrong password does not leave a service that looks well; one that is wrong for a while ends no service.
    @Test func aServiceWithAWrongPassword() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withUser { uri, _, user in
            let wrong = try locks(uri.replacing("s3cret", with: "wr0ng"))
            let error = await #expect(throws: LockError.self) { try await wrong.run() }
            #expect(error?.code == .accessRefused)
            #expect(!wrong.isConnected && wrong.lastError?.code == .accessRefused)
            #expect("\(error as Any)".contains("wr0ng") == false)
            let verified = await failure { () throws(LockError) in try await wrong.verify(within: .seconds(20)) }
            #expect(verified?.code == .accessRefused)
            await wrong.shutdown()

            let log = EventLog()
            let locks = try broker.locks(observer: log) {
                $0.uri = "\(uri)?heartbeat=2"
                $0.backoff = .milliseconds(10) ... .milliseconds(50)
            }
            let service = Task { try await locks.run() }
            _ = try await log.first(.connected)
            #expect(locks.isConnected)
            try await broker.ctl("-q", "change_password", user, "an0ther")
            try await broker.ctl("-q", "close_all_user_connections", user, "changed")
            try await eventually("the refusal is known") { locks.lastError?.code == .accessRefused }
            let count = log.events.count
            try await broker.ctl("-q", "change_password", user, "s3cret")
            _ = try await log.first(.connected, after: count)
            #expect(locks.isConnected && locks.lastError == nil)
            service.cancel()
            try await service.value
        }
    }
}
