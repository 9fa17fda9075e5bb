import CMQLockRdKafka
package import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

extension ClusterMetadata {
    /// Whose settings to ask for.
    enum Resource: Sendable {
        case topic(String)
        case broker(Int32)
    }

    /// The settings of a topic or a broker, by Kafka's names; secret ones are left out.
    static func settings(
        of resource: Resource, _ client: ClientHandle, within limit: Duration
    ) throws(KafkaFailure) -> [String: String] {
        let (kind, name) =
            switch resource {
            case .topic(let name): (RD_KAFKA_RESOURCE_TOPIC, name)
            case .broker(let id): (RD_KAFKA_RESOURCE_BROKER, String(id))
            }
        guard let question = rd_kafka_ConfigResource_new(kind, name) else {
            throw KafkaFailure(RD_KAFKA_RESP_ERR__INVALID_ARG)
        }
        defer { rd_kafka_ConfigResource_destroy(question) }
        var questions: [OpaquePointer?] = [question]
        return try administer(RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, client, within: limit) { options, queue in
            rd_kafka_DescribeConfigs(client.raw, &questions, 1, options, queue)
        } read: { event throws(KafkaFailure) in
            func words(_ text: UnsafePointer<CChar>?) -> String? { text.map { String(cString: $0) } }
            var count = 0
            guard
                let answers = rd_kafka_DescribeConfigs_result_resources(
                    rd_kafka_event_DescribeConfigs_result(event), &count), count == 1, let answer = answers[0]
            else { return [:] }
            let refusal = rd_kafka_ConfigResource_error(answer)
            guard refusal == RD_KAFKA_RESP_ERR_NO_ERROR else {
                throw KafkaFailure(refusal, words(rd_kafka_ConfigResource_error_string(answer)))
            }
            var settings: [String: String] = [:]
            let entries = rd_kafka_ConfigResource_configs(answer, &count)
            for index in 0..<count {
                guard let entry = entries?[index], let name = words(rd_kafka_ConfigEntry_name(entry)) else { continue }
                if let value = words(rd_kafka_ConfigEntry_value(entry)) { settings[name] = value }
            }
            return settings
        }
    }

    static func brokerCount(_ client: ClientHandle, within limit: Duration) throws(KafkaFailure) -> Int {
        var answer: UnsafePointer<rd_kafka_metadata>?
        try KafkaFailure.check(rd_kafka_metadata(client.raw, 0, nil, &answer, limit.callLimit))
        defer { if let answer { rd_kafka_metadata_destroy(answer) } }
        return max(0, Int(answer?.pointee.broker_cnt ?? 0))
    }

    /// The ids of the cluster's brokers, and the smallest number of replicas of any partition of the topic.
    static func copies(
        of topic: String, _ client: ClientHandle, within limit: Duration
    ) throws(KafkaFailure) -> (brokers: [Int32], replicas: Int) {
        try ask(about: topic, client, within: limit) { answer in
            guard let answer else { return ([], 0) }
            let brokers = (0..<max(0, Int(answer.broker_cnt))).map { answer.brokers[$0].id }
            guard let entry = answer.onlyTopic else { return (brokers, 0) }
            let replicas = (0..<max(0, Int(entry.partition_cnt))).map { Int(entry.partitions[$0].replica_cnt) }
            return (brokers.sorted(), replicas.min() ?? 0)
        }
    }
}

extension KafkaInspector {
    /// Why something could not be looked at: there may be no permission.
    package struct Unseen: Error, Sendable, Equatable {
        package let reason: String

        package init(reason: String) { self.reason = reason }
    }

    /// What the command's doctor judges.
    package struct Setup: Sendable {
        package var brokers: Int
        package var replicas: Int
        /// Kafka's names and values, or why they cannot be known.
        package var topic: Result<[String: String], Unseen>
        /// The settings of one broker.
        package var broker: Result<[String: String], Unseen>

        package init(
            brokers: Int, replicas: Int, topic: Result<[String: String], Unseen>,
            broker: Result<[String: String], Unseen>
        ) {
            (self.brokers, self.replicas, self.topic, self.broker) = (brokers, replicas, topic, broker)
        }
    }

    /// How many brokers the cluster has. Ask once ``partitionCount(of:within:)`` has had an answer.
    package func brokerCount(within limit: Duration = .seconds(5)) async throws(LockError) -> Int {
        try await asking { (client) throws(KafkaFailure) in
            try ClusterMetadata.brokerCount(client, within: limit)
        }
    }

    /// Creates a topic; no error when it exists. Returns when the brokers show it, or after the limit.
    /// - Parameter settings: the topic's own, by Kafka's names.
    package func create(
        _ topic: String, partitions: Int, replicas: Int, settings: [String: String],
        within limit: Duration = .seconds(10)
    ) async throws(LockError) {
        try await asking { (client) throws(KafkaFailure) in
            let deadline = ContinuousClock.now.after(limit)
            try ClusterMetadata.createTopic(
                topic, partitions: partitions, replicas: replicas, settings: settings, client, within: limit)
            // Brokers other than the one that created it show it a moment later.
            while try ClusterMetadata.partitionCount(of: topic, client, within: limit) == nil,
                ContinuousClock.now < deadline
            {
                usleep(50_000)
            }
        }
    }

    /// Whether the topic is a log of locks, by its last records.
    package func isLockLog(
        _ topic: String, partitions: Int, within limit: Duration
    ) async throws(LockError) -> Bool {
        let connection = connection
        return try await newQueue().run { _ throws(LockError) in
            // No member joins this group.
            let reader = try LogReader(connection, group: "mqlock.v1.doctor/\(topic)", .uncommitted)
            do throws(KafkaFailure) {
                return try reader.isLockLog(topic, partitions: partitions, within: limit)
            } catch {
                throw LockError(error, while: "reading \(topic.escapedForDisplay)")
            }
        }
    }

    private func asking<Answer: Sendable>(
        _ body: @escaping @Sendable (ClientHandle) throws(KafkaFailure) -> Answer
    ) async throws(LockError) -> Answer {
        let connection = connection
        return try await newQueue().run { _ throws(LockError) in
            let client = try ClientHandle(.consumer, ClientSettings(connection: connection, own: []))
            do throws(KafkaFailure) { return try body(client) } catch {
                throw LockError(error, while: "asking the cluster")
            }
        }
    }

    /// The setup of a topic and its cluster. Ask once ``partitionCount(of:within:)`` has had an answer.
    /// - Parameter asksBroker: whether to read the settings of a broker, too.
    package func setup(
        of topic: String, asksBroker: Bool = true, within limit: Duration = .seconds(3)
    ) async throws(LockError) -> Setup {
        let connection = connection
        return try await newQueue().run { _ throws(LockError) in
            let client = try ClientHandle(.consumer, ClientSettings(connection: connection, own: []))
            func settings(_ resource: ClusterMetadata.Resource) -> Result<[String: String], Unseen> {
                do throws(KafkaFailure) {
                    return .success(try ClusterMetadata.settings(of: resource, client, within: limit))
                } catch {
                    return .failure(Unseen(reason: error.text))
                }
            }
            let (brokers, replicas): ([Int32], Int)
            do throws(KafkaFailure) {
                (brokers, replicas) = try ClusterMetadata.copies(of: topic, client, within: limit)
            } catch {
                throw LockError(error, while: "asking the cluster")
            }
            return Setup(
                brokers: brokers.count, replicas: replicas, topic: settings(.topic(topic)),
                broker: asksBroker ? settings(.broker(brokers.first ?? 0)) : .failure(Unseen(reason: "not asked for")))
        }
    }
}
