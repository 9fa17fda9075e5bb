import MQLock
import MQLockKafka

/// A candidate on the broker that the URI names.
struct BrokerElection: Sendable {
    let election: any Election
    let reporter: RunReporter
    let shutDown: @Sendable () async -> Void

    /// By the same locks as `run`, or as the owner of the name's shard.
    static func make(_ options: RunOptions, _ broker: BrokerURI, _ output: Output) throws(CommandFailure) -> Self {
        do {
            if case .kafka(let uri) = broker, uri.mutex == .shards { return try ofShards(uri, options, output) }
            let locks = try RunBroker(options, broker, output, for: "elect")
            return Self(
                election: try LeaderElection(options.name, on: locks.provider, owner: locks.reporter.owner),
                reporter: locks.reporter, shutDown: locks.shutDown)
        } catch {
            throw CommandFailure(error, "elect")
        }
    }

    private static func ofShards(_ uri: KafkaURI, _ options: RunOptions, _ output: Output) throws -> Self {
        guard options.mutex == nil else { throw CommandFailure.usage("--mutex is for RabbitMQ", "elect") }
        try options.requireNoInfo("elect")
        var configuration = try uri.ownership(partitions: uri.partitions ?? 1)
        if let owner = options.owner { configuration.owner = owner }
        let election = try KafkaElection(options.name, configuration)
        let reporter = RunReporter(options, owner: election.owner, output: output)
        // This source notifies no observer.
        if let exposure = uri.connection.exposure, reporter.wantsEvents {
            reporter.observed(LockEvent(.warning, at: .now, owner: election.owner, detail: exposure))
        }
        return Self(election: election, reporter: reporter, shutDown: {})
    }
}
