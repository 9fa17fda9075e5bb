import Foundation
import MQLock
import MQLockKafka
import MQLockRabbitMQ

/// The locks of a worker process. The broker's URI, which may contain a password, comes in `MQLOCK_BROKER`.
struct WorkerLocks: Sendable {
    let provider: any LockProvider
    let shutDown: @Sendable (Duration) async -> Void

    private static let patience = Duration.seconds(5)
    /// How long a session on Kafka lives unless the URI says otherwise: short, so that people can watch a dead holder's
    /// lock being handed over.
    static let session = Duration.seconds(3)

    /// - Parameter configure: adapts the configuration of RabbitMQ's locks.
    init(
        owner: String? = nil, mutex: RabbitMQLocks.Mutex,
        configure: (inout RabbitMQLocks.Configuration) -> Void = { _ in }
    ) throws {
        switch try BrokerSource.environment.resolveAny(environment: RunCommand.variable) {
        case .rabbitMQ(let uri):
            var configuration = RabbitMQLocks.Configuration(uri: uri, mutex: mutex)
            configuration.startupTimeout = Self.patience
            if let owner { configuration.owner = owner }
            configure(&configuration)
            let locks = try RabbitMQLocks(configuration)
            provider = locks
            shutDown = { await locks.shutdown(within: $0) }
        case .kafka(let uri):
            var configuration = try uri.locks()
            configuration.startupTimeout = Self.patience
            if let owner { configuration.owner = owner }
            if uri.session == nil { configuration.ttl = Self.session }
            let locks = try KafkaLocks(configuration)
            provider = locks
            shutDown = { await locks.shutdown(within: $0) }
        }
    }
}
