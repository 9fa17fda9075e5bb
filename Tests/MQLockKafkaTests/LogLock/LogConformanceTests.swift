import Foundation
import MQLock
import MQLockTesting
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// The rules of the lock protocol, put to the log lock on a Kafka of its own.
    @Suite struct LogConformanceTests {}
}

extension LiveKafkaTests.LogConformanceTests {
    /// The mock has everything in memory, so a crash loses the topic; and it counts no requests. A frame cannot get lost
    /// within a TCP stream that goes on. A provider in the tests' own process cannot be stopped alone. A topic is no
    /// name's, so there are no objects of one name.
    private static let leftOut: Set<String> = [
        "over a crash of the broker", "over deletion of the name's objects", "deleted objects", "a stopped process",
        "a release that is never answered", "waiting costs no requests", "an object of another kind",
    ]

    @Test func theLogLockConforms() async throws {
        let place = try await LogPlace.make()
        let report = await LockConformance(subject(place)).run()
        print(report)
        fflush(nil)
        #expect(report.hasPassed, "\(report)")
        let leftOut = report.entries.compactMap { entry in
            if case .leftOut = entry.outcome { entry.check } else { nil }
        }
        // A broker of the environment is not ours to restart.
        let restarts: Set = place.broker.control == nil ? ["over restarts of the broker"] : []
        #expect(Set(leftOut) == Self.leftOut.union(restarts))
    }

    /// Every provider has a proxy of its own between it and the broker.
    private func subject(_ place: LogPlace) -> ConformanceSubject<KafkaLocks> {
        let proxies = Locked<[ObjectIdentifier: KafkaProxy]>([:])
        var subject = ConformanceSubject<KafkaLocks>(handOverLimit: .seconds(4)) { options in
            let proxy = try await offPool { try KafkaProxy(to: place.broker) }
            var configuration = KafkaLocks.Configuration(
                connection: proxy.broker(of: place.broker).quickConnection, topic: place.topic)
            configuration.ttl = .seconds(3)
            configuration.maximumWaiters = options.maximumWaiters ?? configuration.maximumWaiters
            let locks = try KafkaLocks(configuration, observer: options.observer)
            proxies.withLock { $0[ObjectIdentifier(locks)] = proxy }
            return locks
        }
        let change: @Sendable (KafkaLocks, (inout KafkaProxy.Faults) -> Void) -> Void = { locks, body in
            proxies.withLock { $0[ObjectIdentifier(locks)] }?.change(body)
        }
        subject.close = { locks in
            change(locks) { ($0.isSilent, $0.silentToBroker, $0.silentToClient) = (false, false, false) }
            await locks.shutdown(within: .zero)
            proxies.withLock { $0[ObjectIdentifier(locks)] = nil }
        }
        // A broken connection ends no session here; what does is that others expire it, or, as quick, its own last word.
        subject.faults.endSession = { locks in
            guard let session = locks.contender.driver.health.sessions[0] else { return }
            try await offPool { try place.broker.append([LogRecord.foreign(.close(session))], to: place.topic) }
        }
        subject.faults.silence = { change($0) { $0.isSilent = true } }
        subject.faults.heal = {
            change($0) { ($0.isSilent, $0.silentToBroker, $0.silentToClient) = (false, false, false) }
        }
        subject.faults.holdAnswers = { change($0) { $0.silentToClient = true } }
        subject.faults.passAnswers = { change($0) { $0.silentToClient = false } }
        subject.faults.holdRequests = { change($0) { $0.silentToBroker = true } }
        if place.broker.control != nil {
            subject.faults.restartBroker = {
                try await offPool {
                    try place.broker.fault("broker", "all", "down")
                    try place.broker.fault("broker", "all", "up")
                }
            }
        }
        return subject
    }
}

extension LiveKafka {
    /// The mock answers a fetch that finds nothing only when its time is over, also when something comes meanwhile.
    var quickConnection: KafkaConnection {
        guard control != nil else { return connection }
        var connection = connection
        connection.properties["fetch.wait.max.ms"] = "2"
        return connection
    }

    /// Writes records as another program would.
    func append(_ records: [LogRecord], to topic: String, partition: Int32 = 0) throws {
        let producer = try AcknowledgedProducer(connection, timeout: .seconds(10))
        try producer.produce(
            records.map { ProducedRecord(topic: topic, partition: partition, key: nil, value: $0.bytes) },
            within: .seconds(10))
    }
}

extension LogRecord {
    /// Of a program that knows nothing of the log's state.
    static func foreign(_ body: Body) -> LogRecord {
        LogRecord(number: 0, applied: -1, hash: 0, snapshot: nil, body: body)
    }
}
