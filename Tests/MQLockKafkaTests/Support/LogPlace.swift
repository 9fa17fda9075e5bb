import Foundation
import MQLock
import Testing

@testable import MQLockKafka

/// A topic for locks: on a mock of its own, or on the broker that the environment names, if that is no mock.
struct LogPlace: Sendable {
    let broker: LiveKafka
    let topic: String
    let partitions: Int
    /// It lives as long as the place.
    private let own: OwnKafka?

    /// - Parameter breakable: on a mock in any case, which faults can be put into.
    static func make(partitions: Int = 1, breakable: Bool = false) async throws -> LogPlace {
        let own = breakable || LiveKafka.isMock ? try OwnKafka() : nil
        let broker = try own?.broker ?? LiveKafkaTests.broker()
        let topic = try await offPool {
            try broker.makeTopic(partitions: partitions, ["cleanup.policy": "delete"])
        }
        return LogPlace(broker: broker, topic: topic, partitions: partitions, own: own)
    }

    func locks(
        ttl: Duration = .seconds(2), behind proxy: KafkaProxy? = nil, owner: String? = nil,
        observer: (any LockObserver)? = nil
    ) throws -> KafkaLocks {
        let broker = proxy?.broker(of: broker) ?? broker
        var configuration = KafkaLocks.Configuration(connection: broker.quickConnection, topic: topic)
        configuration.ttl = ttl
        configuration.partitions = partitions
        configuration.owner = owner ?? configuration.owner
        return try KafkaLocks(configuration, observer: observer)
    }

    func process(_ name: String, ttl: Int = 2000) throws -> LogProcess {
        try LogProcess("hold", broker, topic: topic, ttl: ttl, name)
    }

    /// One that does jobs once for a period.
    func onceProcess(journal: String, ttl: Int = 2000) throws -> LogProcess {
        try LogProcess("once", broker, topic: topic, ttl: ttl, "\(partitions)", journal)
    }

    var inspector: KafkaLockInspector {
        get throws {
            var configuration = KafkaLocks.Configuration(connection: broker.quickConnection, topic: topic)
            configuration.partitions = partitions
            return try KafkaLockInspector(configuration)
        }
    }

    /// Waits until so many stand in a name's line.
    func inLine(_ name: LockName, _ count: Int) async throws {
        let (broker, topic) = (broker, topic)
        try await eventually("\(count) in line") {
            try await offPool { try broker.lockTable(topic).lines[name]?.places.count ?? 0 } == count
        }
    }
}

extension LiveKafka {
    func appendRaw(_ value: [UInt8], to topic: String) throws {
        let producer = try AcknowledgedProducer(connection, timeout: .seconds(10))
        try producer.produce([ProducedRecord(topic: topic, partition: 0, key: nil, value: value)], within: .seconds(10))
    }

    /// The state at the end of a log that is there from its first record on.
    func lockTable(_ topic: String) throws -> LockTable {
        let reader = try LogReader(connection, group: topic, .uncommitted)
        let range = try reader.bounds(topic, 0, within: .seconds(10))
        var table = LockTable(next: 0)
        try reader.read(topic, [0: range], within: .seconds(30)) { record in
            if case .record(let record) = LogRecord.read(record.value) {
                _ = table.apply(record)
            } else {
                _ = table.apply(nil)
            }
        }
        return table
    }
}
