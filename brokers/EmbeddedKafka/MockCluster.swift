import CMQLockRdKafka
import Foundation

/// librdkafka's mock cluster; it serves on a thread of the library's until the process ends.
struct MockCluster {
    private let cluster: OpaquePointer
    private let brokers: Int32

    init(brokers: Int) throws(Failure) {
        let configuration = rd_kafka_conf_new()
        // Its messages below errors are about its own connections.
        _ = rd_kafka_conf_set(configuration, "log_level", "3", nil, 0)
        var text = [CChar](repeating: 0, count: 512)
        guard let handle = rd_kafka_new(RD_KAFKA_PRODUCER, configuration, &text, text.count) else {
            rd_kafka_conf_destroy(configuration)
            throw Failure(String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
        }
        guard let cluster = rd_kafka_mock_cluster_new(handle, Int32(brokers)) else {
            throw Failure("librdkafka makes no mock cluster of \(brokers) brokers")
        }
        self.cluster = cluster
        self.brokers = Int32(brokers)
    }

    /// host:port, separated by commas.
    var bootstrap: String { String(cString: rd_kafka_mock_cluster_bootstraps(cluster)) }

    func perform(_ command: ControlCommand) throws(Failure) {
        switch command {
        case .broker(let id, let up):
            for id in try some(id) {
                try check(up ? rd_kafka_mock_broker_set_up(cluster, id) : rd_kafka_mock_broker_set_down(cluster, id))
            }
        case .roundTrip(let id, let milliseconds):
            for id in try some(id) { try check(rd_kafka_mock_broker_set_rtt(cluster, id, milliseconds)) }
        case .errors(let request, let error, let count):
            let errors = [rd_kafka_resp_err_t](repeating: error, count: count)
            rd_kafka_mock_push_request_errors_array(cluster, request, count, errors)
        case .clearErrors(let request): rd_kafka_mock_clear_request_errors(cluster, request)
        case .coordinator(let type, let key, let id):
            _ = try some(id)
            try check(rd_kafka_mock_coordinator_set(cluster, type, key, id))
        case .leader(let topic, let partition, let id):
            try check(rd_kafka_mock_partition_set_leader(cluster, topic, partition, id))
        case .createTopic(let topic):
            try check(rd_kafka_mock_topic_create(cluster, topic.name, topic.partitions, min(brokers, 3)))
        case .topicError(let name, let error):
            // Kafka names no partitions beside a topic's error. The mock creates an unknown topic with some and names
            // them, and a client of librdkafka 2.4.0 to 2.8.0 crashes on that (librdkafka's issue 4907).
            if error != RD_KAFKA_RESP_ERR_NO_ERROR { _ = rd_kafka_mock_topic_create(cluster, name, 0, 1) }
            rd_kafka_mock_topic_set_error(cluster, name, error)
        }
    }

    /// That broker, or every one.
    private func some(_ id: Int32?) throws(Failure) -> ClosedRange<Int32> {
        guard let id else { return 1...brokers }
        guard (1...brokers).contains(id) else { throw Failure("there is no broker \(id) among 1 to \(brokers)") }
        return id...id
    }

    private func check(_ error: rd_kafka_resp_err_t) throws(Failure) {
        guard error != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
        throw Failure(String(cString: rd_kafka_err2name(error)))
    }
}
