import Foundation
import MQLock

@testable import MQLockRabbitMQ

/// A broker that runs, and what tests do with it beside locking.
struct LiveBroker: Sendable {
    /// Without a query.
    let uri: String
    /// rabbitmqctl for the node; nil for a broker that is not ours to administer.
    let control: String?

    static let howToStart: String = "needs a broker: brokers/with --rabbitmq -- swift test"

    /// The broker that the environment names.
    static let shared: LiveBroker? = ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ"].map { uri in
        LiveBroker(uri: uri, control: ProcessInfo.processInfo.environment["MQLOCK_RABBITMQ_CTL"])
    }

    /// Long tests too.
    static let isFullRun = ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1"

    /// Whether all locks stay in their process after the release, where the mutex can do that and the test does not say
    /// otherwise: MQLOCK_TEST_STICKY=1 puts whole suites to sticky locks.
    static let isSticky = ProcessInfo.processInfo.environment["MQLOCK_TEST_STICKY"] == "1"

    /// A provider with a short heartbeat, so that what takes heartbeats does not take long.
    func locks(
        _ query: String = "heartbeat=2", mutex: RabbitMQLocks.Mutex = .token, observer: (any LockObserver)? = nil,
        _ change: (inout RabbitMQLocks.Configuration) -> Void = { _ in },
        settings changeSettings: ((inout SessionSettings) -> Void)? = nil
    ) throws -> RabbitMQLocks {
        var configuration = RabbitMQLocks.Configuration(uri: query.isEmpty ? uri : "\(uri)?\(query)")
        configuration.mutex = mutex
        configuration.backoff = .milliseconds(50) ... .milliseconds(500)
        if Self.isSticky { configuration.sticky = .seconds(1) }
        change(&configuration)
        guard let changeSettings else { return try RabbitMQLocks(configuration, observer: observer) }
        var settings = try SessionSettings(configuration)
        changeSettings(&settings)
        return try RabbitMQLocks(settings, observer: observer)
    }

    func raw<Result>(_ body: (RawClient) throws -> Result) throws -> Result { try RawClient.run(uri, body) }

    func objects(_ name: LockName) throws -> ObjectNames { try ObjectNames(name, vhost: "/") }

    /// Returns when that many contenders stand in the lock's line on the broker.
    func waitForLine(of name: LockName, _ count: Int) async throws {
        let queue = try objects(name).queue
        try await eventually("\(count) consumers of \(queue)") {
            try raw { try $0.counts(queue)?.consumers ?? 0 } >= count
        }
    }

    /// How many consumers a queue has. A queue with a single active consumer counts no other, so it is not asked.
    func consumers(of queue: String) async throws -> Int {
        try await ConsumerList.shared.queues(of: self).count { $0 == queue }
    }

    /// The version that it names.
    var version: BrokerVersion { BrokerVersion(announced: try? raw { $0.brokerVersion } ?? nil) }

    /// What a holder of `sac` learns when its queue is deleted.
    var kindOfDeletion: LossReason.Kind { BrokerBehavior(version).cancelled.kind }

    /// Deletes what these names left.
    func clean(_ names: [LockName]) {
        for name in names {
            guard let objects = try? objects(name) else { continue }
            for queue in objects.all { try? raw { try $0.delete(queue) } }
        }
    }

    /// A name that nobody else uses, deleted from the broker when the body has ended.
    func withName<Result>(
        _ prefix: String = #function, _ body: (LockName) async throws -> Result
    ) async throws -> Result {
        let name = try LockName("test/\(prefix.prefix(60))/\(UInt64.random(in: 0 ... .max))")
        defer { clean([name]) }
        return try await body(name)
    }

    /// Runs rabbitmqctl; throws what it wrote when it fails.
    @discardableResult
    func ctl(_ arguments: String...) async throws -> String {
        guard let control else {
            throw Overdue(what: "rabbitmqctl, which this broker does not come with", limit: .zero)
        }
        return try await Program.run(control, arguments)
    }

    // MARK: Administering

    /// In a virtual host and with a user of its own, which are deleted afterwards.
    /// - Parameter body: takes the URI, the virtual host, and the user.
    func withUser(
        permissions: String = ".*", _ body: (_ uri: String, _ vhost: String, _ user: String) async throws -> Void
    ) async throws {
        let id = "limit-\(UInt64.random(in: 0 ... .max))"
        try await ctl("-q", "add_vhost", id)
        try await ctl("-q", "add_user", id, "s3cret")
        try await ctl("-q", "set_permissions", "-p", id, id, permissions, permissions, permissions)
        let address = uri.split(separator: "@").last ?? ""
        let result: Result<Void, any Error>
        do { result = .success(try await body("amqp://\(id):s3cret@\(address)/\(id)", id, id)) } catch {
            result = .failure(error)
        }
        try await ctl("-q", "delete_vhost", id)
        try await ctl("-q", "delete_user", id)
        try result.get()
    }
}
