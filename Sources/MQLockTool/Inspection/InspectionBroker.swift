import MQLock
import MQLockKafka
import MQLockRabbitMQ

/// How to ask about locks, according to the scheme of the broker's URI.
enum InspectionBroker: Sendable {
    case rabbitMQ(RabbitMQInspector)
    case kafka(KafkaLockInspector, topic: String)

    init(_ uri: BrokerURI) throws(CommandFailure) {
        do {
            switch uri {
            case .rabbitMQ(let uri):
                var configuration = RabbitMQLocks.Configuration(uri: uri)
                configuration.startupTimeout = RunBroker.patience
                self = .rabbitMQ(try RabbitMQInspector(configuration))
            case .kafka(let uri):
                let configuration = try uri.locks()
                self = .kafka(try KafkaLockInspector(configuration), topic: configuration.topic)
            }
        } catch {
            throw CommandFailure(error)
        }
    }

    private var inspector: any LockInspector {
        switch self {
        case .rabbitMQ(let inspector): inspector
        case .kafka(let inspector, _): inspector
        }
    }

    func view(_ options: InspectionOptions) async throws(LockError) -> LockView {
        try await inspector.view(options.name, within: isLog ? options.reading : options.patience)
    }

    /// What was done under a lock, once for a period.
    func marks(_ options: InspectionOptions) async throws(LockError) -> [DoneMark] {
        switch self {
        case .rabbitMQ(let inspector): try await inspector.marks(of: options.name, within: options.patience)
        case .kafka(let inspector, _): try await inspector.marks(of: options.name, within: options.reading)
        }
    }

    func changes(_ options: InspectionOptions) async throws(LockError) -> AsyncThrowingStream<LockChange, any Error> {
        // The stream waits for a log that cannot be read; a user who has just started it should hear that.
        if isLog { _ = try await view(options) }
        return inspector.changes(of: options.name)
    }

    private var isLog: Bool { if case .kafka = self { true } else { false } }
}
