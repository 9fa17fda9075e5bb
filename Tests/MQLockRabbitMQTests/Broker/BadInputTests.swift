import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Wrong addresses, rights, names and queues: the right code, and a message that says what to do.
    @Suite struct BadInputTests {}
}

extension LiveBrokerTests.BadInputTests {
    private func failure(
        _ uri: String, _ change: (inout RabbitMQLocks.Configuration) -> Void = { _ in }
    ) async throws -> LockError {
        var configuration = RabbitMQLocks.Configuration(uri: uri)
        change(&configuration)
        let locks = try RabbitMQLocks(configuration)
        let contender = Contender(locks, "test/bad-input", within: .seconds(20))
        let error = try #require(try await contender.failure())
        await locks.shutdown()
        for text in [error.message, "\(error)", String(reflecting: error)] {
            #expect(!text.contains("s3cret"), "a password is shown: \(text)")
        }
        return error
    }

    private func replacing(_ login: String, in broker: LiveBroker) -> String {
        broker.uri.replacingOccurrences(of: "guest:guest", with: login)
    }

    @Test func wrongPassword() async throws {
        let error = try await failure(replacing("guest:s3cret", in: LiveBrokerTests.broker()))
        #expect(error.code == .accessRefused)
        #expect(error.message.contains("check user and password"), "\(error)")
    }

    @Test func unknownVirtualHost() async throws {
        let error = try await failure(LiveBrokerTests.broker().uri + "/no-such-vhost")
        #expect(error.code == .accessRefused)
        #expect(error.message.contains("no-such-vhost") && error.message.contains("add_vhost"), "\(error)")
    }

    @Test func userWithoutConfigurePermission() async throws {
        let broker = try LiveBrokerTests.broker()
        try #require(broker.control != nil, "a broker to administer")
        let user = "mqlock-test-\(UInt32.random(in: 0 ... .max))"
        try await broker.ctl("add_user", user, "s3cret")
        let noVirtualHost = try await failure(replacing("\(user):s3cret", in: broker))
        #expect(noVirtualHost.code == .accessRefused)
        #expect(noVirtualHost.message.contains("set_permissions"), "\(noVirtualHost)")

        try await broker.ctl("set_permissions", user, "^$", ".*", ".*")
        let noConfigure = try await failure(replacing("\(user):s3cret", in: broker))
        #expect(noConfigure.code == .accessRefused)
        #expect(noConfigure.message.contains("configure"), "\(noConfigure)")
        try await broker.ctl("delete_user", user)
    }

    @Test func nothingListens() async throws {
        let error = try await failure("amqp://guest:s3cret@127.0.0.1:1") { $0.startupTimeout = .milliseconds(500) }
        #expect(error.code == .unreachable)
        #expect(error.message.contains("127.0.0.1:1"), "\(error)")
    }

    @Test func badURIsAndOptions() throws {
        let bad = [
            "http://guest:s3cret@localhost", "amqp://guest:s3cret@localhost?heartbeat=0", "amqp://guest:s3cret@:x",
            "amqp://guest:s3cret@localhost?colour=green",
        ]
        for uri in bad {
            let error = #expect(throws: LockError.self) { try RabbitMQLocks(.init(uri: uri)) }
            #expect(error?.code == .invalidConfiguration)
            #expect(error.map { "\($0)".contains("s3cret") } == false, "\(uri)")
        }
        for heartbeat in [Duration.zero, .milliseconds(999), .seconds(601)] {
            var configuration = RabbitMQLocks.Configuration()
            configuration.heartbeat = heartbeat
            let error = #expect(throws: LockError.self) { try RabbitMQLocks(configuration) }
            #expect(error?.code == .invalidConfiguration, "\(heartbeat)")
        }
    }

    // MARK: Names

    @Test func namesThatAreNone() {
        for bad in ["", String(repeating: "n", count: 201), String(repeating: "é", count: 101)] {
            let error = #expect(throws: LockError.self) { try LockName(bad) }
            #expect(error?.code == .invalidName)
        }
    }

    /// 200 bytes are a name, but control characters take three bytes each on the broker.
    @Test func longestNames() async throws {
        let broker = try LiveBrokerTests.broker()
        let locks = try broker.locks()
        let suffix = String(UInt64.random(in: 0 ... .max), radix: 16)
        let longest = try LockName(String(repeating: "n", count: 200 - suffix.count) + suffix)
        defer { broker.clean([longest]) }
        let held = try await locks.acquire(longest, within: .seconds(20))
        try await held.release()
        let contender = Contender(locks, try LockName(String(repeating: "\r", count: 200)), within: .seconds(20))
        let error = try #require(try await contender.failure())
        #expect(error.code == .invalidName)
        #expect(error.message.contains("shorten"), "\(error)")
        await locks.shutdown()
    }

    /// RabbitMQ strips CR and LF from queue names: for it the first four would be one queue.
    @Test func namesThatDifferInControlCharactersAreDifferentLocks() async throws {
        let broker = try LiveBrokerTests.broker()
        let locks = try broker.locks()
        let base = "test/control/\(UInt64.random(in: 0 ... .max))"
        let names = try ["", "\n", "\r", "\r\n", "\0", "\t", "%0A", "\u{202E}", "\u{2028}", "é", "e\u{301}"].map {
            try LockName("\(base)\($0)x")
        }
        defer { broker.clean(names) }
        let held = names.map { Contender(locks, $0, within: .seconds(30)) }
        for contender in held { #expect(try await contender.lease().isValid) }
        for name in names {
            #expect(
                "\(name)".unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x202E && $0.value != 0x2028 })
        }
        for contender in held { #expect(try await contender.release() == nil) }
        await locks.shutdown()
    }

    // MARK: Queues of other kinds

    @Test(arguments: [
        ["x-queue-type": FieldValue.string("classic")], ["x-queue-type": .string("quorum")],
        ["x-queue-type": .string("quorum"), "x-expires": .int64(3_600_000), "x-single-active-consumer": true],
    ])
    func queueWithOtherArguments(_ arguments: [String: FieldValue]) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let objects = try broker.objects(name)
            try broker.raw { try $0.declare(objects.queue, arguments: arguments) }
            let locks = try broker.locks()
            let error = try #require(try await Contender(locks, name, within: .seconds(20)).failure())
            #expect(error.code == .incompatible)
            #expect(error.message.contains("token mutex") && error.message.contains("delete the queue"), "\(error)")
            // A lock of another name is none the worse for it.
            try await broker.withName { other in
                let held = try await locks.acquire(other, within: .seconds(20))
                try await held.release()
            }
            await locks.shutdown()
        }
    }
}
