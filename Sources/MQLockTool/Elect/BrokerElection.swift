import MQLock
import MQLockKafka
import MQLockRabbitMQ

/// A candidate on the broker that the URI names.
struct BrokerElection: Sendable {
    let election: any Election
    let shutDown: @Sendable () async -> Void
    /// What the connection exposes to others on the network, where no observer is told.
    var exposure: String?

    /// - Parameter observer: hears how the session fares, where there is one.
    static func make(
        _ options: RunOptions, _ broker: BrokerURI, observer: (any LockObserver)?
    ) throws(CommandFailure) -> Self {
        switch broker {
        case .rabbitMQ(let uri):
            do throws(LockError) {
                return try rabbitMQ(options, uri, observer)
            } catch {
                throw CommandFailure(status: ExitStatus.of(error), message: error.message, helpTopic: "elect")
            }
        case .kafka(let uri): return try kafka(options, uri)
        }
    }

    private static func rabbitMQ(
        _ options: RunOptions, _ uri: String, _ observer: (any LockObserver)?
    ) throws(LockError) -> Self {
        var configuration = RabbitMQLocks.Configuration(uri: uri, mutex: options.mutex)
        if let owner = options.owner { configuration.owner = owner }
        configuration.startupTimeout = .seconds(30)
        let locks = try RabbitMQLocks(configuration, observer: observer)
        let election = try LeaderElection(options.name, on: locks, owner: configuration.owner)
        return Self(election: election) { await locks.shutdown(within: .seconds(1)) }
    }

    private static func kafka(_ options: RunOptions, _ uri: KafkaURI) throws(CommandFailure) -> Self {
        var configuration = try uri.ownership(partitions: uri.partitions ?? 1)
        if let owner = options.owner { configuration.owner = owner }
        do throws(LockError) {
            return Self(
                election: try KafkaElection(options.name, configuration), shutDown: {},
                exposure: uri.connection.exposure)
        } catch {
            throw CommandFailure(status: ExitStatus.of(error), message: error.message, helpTopic: "elect")
        }
    }
}
