import MQLock
import MQLockKafka
import MQLockRabbitMQ

/// The mutexes to measure on a broker.
struct BenchTarget {
    let system: String
    /// The version that the broker reports; nil when it reports none.
    let version: String?
    let address: String
    /// How long a session lives, which decides when a dead holder is noticed; for Kafka.
    let session: Duration?
    let mutexes: [String]
    private let administration: BrokerAdministration?

    /// - Parameter text: the broker's URI.
    init(_ text: String, _ options: BenchOptions) throws {
        switch try BrokerSource.uri(text).resolveAny(environment: { _ in nil }) {
        case .rabbitMQ(let uri):
            let administration = try BrokerAdministration(uri: uri)
            (system, version, address) = ("RabbitMQ", administration.version, administration.address)
            (session, mutexes) = (nil, (options.mutexes ?? RabbitMQLocks.Mutex.allCases).map(\.description))
            self.administration = administration
        case .kafka(let uri):
            guard options.mutexes == nil else {
                throw CommandFailure.usage("--mutex is for RabbitMQ; on Kafka there is one kind of lock", "bench")
            }
            let configuration = try uri.locks()
            (system, version) = ("Kafka", nil)
            address = "\(configuration.connection.brokers.joined(separator: ","))/\(configuration.topic)"
            session = uri.session ?? WorkerLocks.session
            (mutexes, administration) = ([BenchOptions.log], nil)
        }
    }

    /// The queues to delete at the end: of a lock, and of those named after it with a number.
    func queues(of lock: LockName, numbered count: Int, _ rawQueue: String) throws(LockError) -> [String] {
        guard let administration else { return [] }
        var locks = [lock]
        for number in 0..<count { locks.append(try lock.numbered(number)) }
        return try administration.queues(of: locks) + [rawQueue]
    }
}
