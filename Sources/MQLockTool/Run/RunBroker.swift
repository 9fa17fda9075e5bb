import MQLock
import MQLockKafka
import MQLockRabbitMQ

/// The locks of the broker in the URI, for `run` and `elect`.
struct RunBroker: Sendable {
    let provider: any LockProvider
    let reporter: RunReporter
    /// The contender that says that it holds the lock; the argument limits the wait for its answer.
    let whoHolds: @Sendable (Duration) async -> LockContender?
    let shutDown: @Sendable () async -> Void

    /// How long a program waits for its first session if no wait was specified.
    static let patience = Duration.seconds(30)

    /// - Parameter command: our subcommand, whose help says more.
    init(_ options: RunOptions, _ broker: BrokerURI, _ output: Output, for command: String) throws(CommandFailure) {
        do {
            switch broker {
            case .rabbitMQ(let uri): try self.init(options, uri, output)
            case .kafka(let uri):
                guard options.mutex == nil else {
                    throw CommandFailure.usage("--mutex is for RabbitMQ; on Kafka there is one kind of lock", command)
                }
                try options.requireNoInfo(command)
                try self.init(options, try uri.locks(), output)
            }
        } catch {
            throw CommandFailure(error, command)
        }
    }

    private init(_ options: RunOptions, _ uri: String, _ output: Output) throws(LockError) {
        var configuration = RabbitMQLocks.Configuration(uri: uri, mutex: options.mutex ?? .singleActiveConsumer)
        if let owner = options.owner { configuration.owner = owner }
        configuration.startupTimeout = options.startupTimeout
        reporter = RunReporter(options, owner: configuration.owner, output: output)
        let locks = try RabbitMQLocks(configuration, observer: reporter.wantsEvents ? reporter : nil)
        provider = locks
        whoHolds = { [configuration, name = options.name] limit in
            try? await RabbitMQInspector(configuration).holder(of: name, within: limit)
        }
        shutDown = { await locks.shutdown(within: .seconds(1)) }
    }

    private init(
        _ options: RunOptions, _ configuration: KafkaLocks.Configuration, _ output: Output
    ) throws(LockError) {
        var configuration = configuration
        if let owner = options.owner { configuration.owner = owner }
        configuration.startupTimeout = options.startupTimeout
        reporter = RunReporter(options, owner: configuration.owner, output: output)
        let locks = try KafkaLocks(configuration, observer: reporter.wantsEvents ? reporter : nil)
        provider = locks
        whoHolds = { [configuration, name = options.name] limit in
            try? await KafkaLockInspector(configuration).view(name, within: limit).holders.first
        }
        shutDown = { await locks.shutdown(within: .seconds(1)) }
    }
}

extension RunOptions {
    /// A wait that the user specified applies to the broker too.
    fileprivate var startupTimeout: Duration? {
        if case .within = patience { nil } else { RunBroker.patience }
    }

    /// On Kafka nobody could see it: no record has a place for it, and a new kind of record would need a new version of
    /// the format, which ends the sessions of all programs that do not know it.
    func requireNoInfo(_ command: String) throws(CommandFailure) {
        guard info == nil else {
            throw .usage(
                "--info is for RabbitMQ; on Kafka the log has no place for it: say it with --owner TEXT instead",
                command)
        }
    }
}
