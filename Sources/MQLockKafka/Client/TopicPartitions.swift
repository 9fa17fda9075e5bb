import CMQLockRdKafka

/// Partitions of one topic with an offset each, in the library's terms.
struct TopicPartitions: Sendable, Equatable {
    struct Entry: Sendable, Equatable {
        var partition: Int32
        var offset: Int64
        var failure: KafkaFailure?
    }

    var topic: String
    var entries: [Entry]

    /// No offset; its meaning depends on the call.
    static let noOffset = Int64(RD_KAFKA_OFFSET_INVALID)

    init(_ topic: String, _ partitions: some Sequence<Int32>) {
        self.topic = topic
        entries = partitions.map { Entry(partition: $0, offset: Self.noOffset) }
    }

    init(_ topic: String, offsets: [Int32: Int64]) {
        self.topic = topic
        entries = offsets.sorted { $0.key < $1.key }.map { Entry(partition: $0.key, offset: $0.value) }
    }

    /// Copies a list of the library; other topics are left out.
    init(_ topic: String, copying list: UnsafePointer<rd_kafka_topic_partition_list_t>?) {
        self.topic = topic
        entries = []
        guard let list = list?.pointee, list.cnt > 0 else { return }
        for element in UnsafeBufferPointer(start: list.elems, count: Int(list.cnt))
        where String(cString: element.topic) == topic {
            let failed = element.err != RD_KAFKA_RESP_ERR_NO_ERROR
            entries.append(
                Entry(
                    partition: element.partition, offset: element.offset,
                    failure: failed ? KafkaFailure(element.err) : nil))
        }
    }

    var partitions: [Int32] { entries.map(\.partition) }

    /// Calls `body` with a library list that lives for the call only, and reads back what the call has stored.
    mutating func fill<Result>(
        _ body: (UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) throws(KafkaFailure) -> Result
    ) throws(KafkaFailure) -> Result {
        guard let list = rd_kafka_topic_partition_list_new(Int32(entries.count)) else {
            throw KafkaFailure(RD_KAFKA_RESP_ERR__INVALID_ARG, "no memory for a list of partitions")
        }
        defer { rd_kafka_topic_partition_list_destroy(list) }
        add(to: list)
        let result = try body(list)
        self = TopicPartitions(topic, copying: list)
        return result
    }

    func add(to list: UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) {
        for entry in entries {
            rd_kafka_topic_partition_list_add(list, topic, entry.partition).pointee.offset = entry.offset
        }
    }

    /// Like ``fill(_:)``, for calls that only read.
    func withList<Result>(
        _ body: (UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) throws(KafkaFailure) -> Result
    ) throws(KafkaFailure) -> Result {
        var copy = self
        return try copy.fill(body)
    }
}

extension [TopicPartitions] {
    /// Calls `body`, which only reads, with a library list that lives for the call only.
    func withList<Result>(
        _ body: (UnsafeMutablePointer<rd_kafka_topic_partition_list_t>) throws(KafkaFailure) -> Result
    ) throws(KafkaFailure) -> Result {
        guard let list = rd_kafka_topic_partition_list_new(Int32(count)) else {
            throw KafkaFailure(RD_KAFKA_RESP_ERR__INVALID_ARG, "no memory for a list of partitions")
        }
        defer { rd_kafka_topic_partition_list_destroy(list) }
        for partitions in self { partitions.add(to: list) }
        return try body(list)
    }
}
