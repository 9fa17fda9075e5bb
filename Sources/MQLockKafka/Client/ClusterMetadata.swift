import CMQLockRdKafka
import MQLock

/// Questions about the cluster. They block, so ask them on a thread of ours.
enum ClusterMetadata {
    /// What the cluster says about a topic.
    struct Topic: Equatable {
        var partitions: Int
        /// How many of them have no leader at the moment, for example in a topic that was just created.
        var withoutLeader = 0
    }

    /// The number of a topic's partitions; nil when there is no such topic.
    static func partitionCount(
        of topic: String, _ client: ClientHandle, within limit: Duration
    ) throws(KafkaFailure) -> Int? {
        try Self.topic(topic, client, within: limit)?.partitions
    }

    /// Nil when there is no such topic.
    static func topic(
        _ topic: String, _ client: ClientHandle, within limit: Duration
    ) throws(KafkaFailure) -> Topic? {
        try ask(about: topic, client, within: limit) { answer throws(KafkaFailure) in
            guard let entry = answer?.onlyTopic else { return nil }
            if KafkaFailure(entry.err).code.isUnknownTopic { return nil }
            try KafkaFailure.check(entry.err)
            let count = max(0, Int(entry.partition_cnt))
            return Topic(
                partitions: count, withoutLeader: (0..<count).count { entry.partitions[$0].leader < 0 })
        }
    }

    /// Asks for the cluster's metadata with one topic. The answer lives as long as `read` runs.
    static func ask<Result>(
        about topic: String, _ client: ClientHandle, within limit: Duration,
        read: (rd_kafka_metadata?) throws(KafkaFailure) -> Result
    ) throws(KafkaFailure) -> Result {
        guard let handle = rd_kafka_topic_new(client.raw, topic, nil) else {
            throw KafkaFailure(rd_kafka_last_error())
        }
        defer { rd_kafka_topic_destroy(handle) }
        var answer: UnsafePointer<rd_kafka_metadata>?
        try KafkaFailure.check(
            rd_kafka_metadata(client.raw, 0, handle, &answer, limit.callLimit))
        defer { if let answer { rd_kafka_metadata_destroy(answer) } }
        return try read(answer?.pointee)
    }

    /// Sends an administrative request and waits for its answer, which lives as long as `read` runs.
    /// - Parameter send: gets the request's options, and the queue for its answer.
    static func administer<Result>(
        _ operation: rd_kafka_admin_op_t, _ client: ClientHandle, within limit: Duration,
        send: (_ options: OpaquePointer?, _ queue: OpaquePointer) -> Void,
        read: (_ event: OpaquePointer) throws(KafkaFailure) -> Result
    ) throws(KafkaFailure) -> Result {
        guard let queue = rd_kafka_queue_new(client.raw) else {
            throw KafkaFailure(RD_KAFKA_RESP_ERR__INVALID_ARG, "no queue for the answer")
        }
        defer { rd_kafka_queue_destroy(queue) }
        let options = rd_kafka_AdminOptions_new(client.raw, operation)
        defer { rd_kafka_AdminOptions_destroy(options) }
        rd_kafka_AdminOptions_set_request_timeout(options, limit.callLimit, nil, 0)
        send(options, queue)
        guard let event = rd_kafka_queue_poll(queue, limit.callLimit) else {
            throw KafkaFailure(RD_KAFKA_RESP_ERR__TIMED_OUT)
        }
        defer { rd_kafka_event_destroy(event) }
        if rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR { throw KafkaFailure(of: event) }
        return try read(event)
    }

    /// Creates a topic; no error when it exists.
    ///
    /// - Parameter settings: the topic's own, such as `cleanup.policy`.
    static func createTopic(
        _ topic: String, partitions: Int, replicas: Int, settings: [String: String], _ client: ClientHandle,
        within limit: Duration
    ) throws(KafkaFailure) {
        var text = [CChar](repeating: 0, count: 512)
        guard let new = rd_kafka_NewTopic_new(topic, Int32(partitions), Int32(replicas), &text, text.count) else {
            throw KafkaFailure(
                RD_KAFKA_RESP_ERR__INVALID_ARG,
                String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
        }
        defer { rd_kafka_NewTopic_destroy(new) }
        for (name, value) in settings { try KafkaFailure.check(rd_kafka_NewTopic_set_config(new, name, value)) }
        var topics: [OpaquePointer?] = [new]
        try administer(RD_KAFKA_ADMIN_OP_CREATETOPICS, client, within: limit) { options, queue in
            rd_kafka_CreateTopics(client.raw, &topics, 1, options, queue)
        } read: { event throws(KafkaFailure) in
            var count = 0
            guard let results = rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &count),
                count == 1, let result = results[0]
            else { return }
            let code = rd_kafka_topic_result_error(result)
            guard code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS, code != RD_KAFKA_RESP_ERR_NO_ERROR else { return }
            throw KafkaFailure(code, rd_kafka_topic_result_error_string(result).map { String(cString: $0) })
        }
    }
}

extension ClientHandle {
    /// Asks for a topic that is new to the client: by itself it would look for it only once a second.
    /// - Returns: whether there is such a topic.
    func learn(_ topic: String, _ known: inout Set<String>, within limit: Duration) throws(KafkaFailure) -> Bool {
        if known.contains(topic) { return true }
        guard try ClusterMetadata.partitionCount(of: topic, self, within: limit) != nil else { return false }
        known.insert(topic)
        return true
    }
}

extension rd_kafka_metadata {
    /// The topic that was asked for.
    var onlyTopic: rd_kafka_metadata_topic? { topic_cnt == 1 ? topics?.pointee : nil }
}
