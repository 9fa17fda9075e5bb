import CMQLockRdKafka
import MQLockTesting

/// The requests of a claim by librdkafka alone, of half the shards, which is what one of two members claims: the group's
/// offsets, the bounds of the partitions, what was written since, then a transaction with a record for each shard and the
/// offsets, and a group commit.
final class BareClaim {
    private let topic: Topic
    private let group: String
    private let committed: BareClient
    private let uncommitted: BareClient
    private let producer: BareClient

    init(_ brokers: String, _ topic: Topic) throws {
        self.topic = topic
        group = "claim/\(topic.name)"
        let settings = [
            "group.id": group, "enable.auto.commit": "false", "enable.partition.eof": "true",
            "auto.offset.reset": "earliest", "fetch.wait.max.ms": "1",
        ]
        committed = try BareClient(
            RD_KAFKA_CONSUMER, brokers, settings.merging(["isolation.level": "read_committed"]) { $1 })
        uncommitted = try BareClient(
            RD_KAFKA_CONSUMER, brokers, settings.merging(["isolation.level": "read_uncommitted"]) { $1 })
        producer = try BareClient(
            RD_KAFKA_PRODUCER, brokers, ["transactional.id": "\(group)/\(HistoryClock.now)", "linger.ms": "0"])
        for client in [committed, uncommitted] { rd_kafka_poll_set_consumer(client.raw) }
        for client in [committed, uncommitted, producer] { try client.learn(topic.name) }
        try BareClient.check(rd_kafka_init_transactions(producer.raw, BareClient.patience))
        // Some brokers know a group only once it has an offset.
        try all(offset: 0).with { try BareClient.check(rd_kafka_commit(uncommitted.raw, $0, 0)) }
    }

    /// - Returns: how long it took, in nanoseconds.
    func make() throws -> UInt64 {
        let begun = HistoryClock.now
        let starts = try all().with {
            try BareClient.check(rd_kafka_committed(committed.raw, $0, BareClient.patience))
        }
        let low = try bounds(RD_KAFKA_OFFSET_BEGINNING)
        let high = try bounds(RD_KAFKA_OFFSET_END)
        try read(low.merging(starts.filter { $0.value >= 0 }) { max($0, $1) }, until: high)
        try write(high)
        return HistoryClock.now - begun
    }

    private var shards: Range<Int32> { 0..<Int32((topic.shards + 1) / 2) }

    private func all(offset: Int32 = RD_KAFKA_OFFSET_INVALID) -> BareList {
        BareList(topic.name, shards, offset: Int64(offset))
    }

    private func bounds(_ end: Int32) throws -> [Int32: Int64] {
        try all(offset: end).with {
            try BareClient.check(rd_kafka_offsets_for_times(uncommitted.raw, $0, BareClient.patience))
        }
    }

    private func read(_ starts: [Int32: Int64], until ends: [Int32: Int64]) throws {
        var open = starts.filter { $0.value < ends[$0.key] ?? 0 }
        guard !open.isEmpty else { return }
        try BareList(topic.name, offsets: open).with { try BareClient.check(rd_kafka_assign(uncommitted.raw, $0)) }
        defer { rd_kafka_assign(uncommitted.raw, nil) }
        while !open.isEmpty {
            guard let message = rd_kafka_consumer_poll(uncommitted.raw, BareClient.patience) else {
                throw Failure("nothing was read")
            }
            defer { rd_kafka_message_destroy(message) }
            let end = ends[message.pointee.partition] ?? 0
            switch message.pointee.err {
            case RD_KAFKA_RESP_ERR_NO_ERROR:
                if message.pointee.offset >= end - 1 { open[message.pointee.partition] = nil }
            case RD_KAFKA_RESP_ERR__PARTITION_EOF:
                if message.pointee.offset >= end { open[message.pointee.partition] = nil }
            case let code: try BareClient.check(code)
            }
        }
    }

    private func write(_ offsets: [Int32: Int64]) throws {
        try BareClient.check(rd_kafka_begin_transaction(producer.raw))
        let handle = rd_kafka_topic_new(producer.raw, topic.name, nil)
        defer { rd_kafka_topic_destroy(handle) }
        var value = [UInt8](repeating: 0, count: 60)
        for shard in shards {
            guard rd_kafka_produce(handle, shard, Int32(RD_KAFKA_MSG_F_COPY), &value, value.count, nil, 0, nil) == 0
            else { throw Failure(String(cString: rd_kafka_err2str(rd_kafka_last_error()))) }
        }
        // Without a member: nothing is fenced, and the same is asked of the broker.
        let metadata = rd_kafka_consumer_group_metadata_new(group)
        defer { rd_kafka_consumer_group_metadata_destroy(metadata) }
        let list = BareList(topic.name, offsets: offsets)
        try list.with {
            try BareClient.check(
                rd_kafka_send_offsets_to_transaction(producer.raw, $0, metadata, BareClient.patience))
        }
        try BareClient.check(rd_kafka_commit_transaction(producer.raw, BareClient.patience))
        try list.with { try BareClient.check(rd_kafka_commit(uncommitted.raw, $0, 0)) }
    }
}
