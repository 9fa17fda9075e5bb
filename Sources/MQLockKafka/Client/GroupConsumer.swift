import CMQLockRdKafka
import MQLock

/// A member of a consumer group that gets assignments and consumes nothing.
///
/// Belongs to one thread, except ``wake()``. All events of the library come from ``poll(for:)`` as values: no callback
/// of the library runs here, so a rebalance is handled where it is polled, before it is answered.
final class GroupConsumer: @unchecked Sendable {
    /// An event of the library.
    enum Event: Sendable {
        /// Answer it with ``assign(_:)`` or ``unassign()``: until then the rebalance stands still.
        /// - Parameter records: the same for the other topic, if there is one.
        case assigned([Int32], records: [Int32])
        /// The same; `lost` when the library knows that the broker has assigned the partitions to others.
        case revoked([Int32], lost: Bool)
        /// The answer to ``commit(_:id:)``.
        case committed(id: UInt, KafkaFailure?)
        case failed(KafkaFailure)
    }

    let topic: String
    /// Another topic that is assigned together with it.
    private let records: String?
    private let client: ClientHandle
    private let queue: OpaquePointer
    private var isClosing = false

    init(
        _ settings: ClientSettings, topic: String, records: String? = nil,
        log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        (self.topic, self.records) = (topic, records)
        client = try ClientHandle(
            .consumer, settings,
            events: RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR | RD_KAFKA_EVENT_OFFSET_COMMIT, log: log)
        rd_kafka_poll_set_consumer(client.raw)
        guard let queue = rd_kafka_queue_get_consumer(client.raw) else {
            throw LockError(.internalError, "librdkafka's consumer has no queue")
        }
        self.queue = queue
    }

    deinit { rd_kafka_queue_destroy(queue) }

    /// Joins the group; answered by events.
    func subscribe() throws(KafkaFailure) {
        let lists = [topic, records].compactMap { $0.map { TopicPartitions($0, [-1]) } }
        try KafkaFailure.check(try lists.withList { rd_kafka_subscribe(client.raw, $0) })
    }

    /// Waits for an event, a wake-up or the end of the time. Call it more often than `max.poll.interval.ms`.
    func poll(for limit: Duration) -> Event? {
        guard let event = rd_kafka_queue_poll(queue, limit.pollLimit) else { return nil }
        defer { rd_kafka_event_destroy(event) }
        switch rd_kafka_event_type(event) {
        case RD_KAFKA_EVENT_REBALANCE:
            let list = UnsafePointer(rd_kafka_event_topic_partition_list(event))
            let partitions = TopicPartitions(topic, copying: list).partitions
            return rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS
                ? .assigned(partitions, records: records.map { TopicPartitions($0, copying: list).partitions } ?? [])
                : .revoked(partitions, lost: rd_kafka_assignment_lost(client.raw) != 0)
        case RD_KAFKA_EVENT_OFFSET_COMMIT:
            return .committed(id: UInt(bitPattern: rd_kafka_event_opaque(event)), Self.commitFailure(event, topic))
        case RD_KAFKA_EVENT_ERROR:
            let failure = KafkaFailure(of: event)
            return .failed(failure.isFatal ? client.fatalError ?? failure : failure)
        default: return nil
        }
    }

    /// A commit has failed if it failed as a whole or for any partition.
    private static func commitFailure(_ event: OpaquePointer, _ topic: String) -> KafkaFailure? {
        let code = rd_kafka_event_error(event)
        guard code == RD_KAFKA_RESP_ERR_NO_ERROR else { return KafkaFailure(code) }
        let list = TopicPartitions(topic, copying: rd_kafka_event_topic_partition_list(event))
        return list.entries.lazy.compactMap(\.failure).first
    }

    /// Ends the current ``poll(for:)``, or else the next one. From any thread.
    func wake() { rd_kafka_queue_yield(queue) }

    /// Accepts an assignment, paused: owning a partition needs none of its records.
    func assign(_ partitions: [Int32]) throws(KafkaFailure) {
        let list = TopicPartitions(topic, partitions)
        try KafkaFailure.check(try list.withList { rd_kafka_assign(client.raw, $0) })
        guard !partitions.isEmpty else { return }
        try KafkaFailure.check(try list.withList { rd_kafka_pause_partitions(client.raw, $0) })
    }

    /// Releases the assignment.
    func unassign() throws(KafkaFailure) { try KafkaFailure.check(rd_kafka_assign(client.raw, nil)) }

    /// Sends a group commit; its answer comes as an event with `id`.
    func commit(_ offsets: [Int32: Int64], id: UInt) throws(KafkaFailure) {
        let opaque = UnsafeMutableRawPointer(bitPattern: id)
        try KafkaFailure.check(
            try TopicPartitions(topic, offsets: offsets).withList {
                rd_kafka_commit_queue(client.raw, $0, queue, nil, opaque)
            })
    }

    /// What the client knows of its membership now; nothing any more once it closes. The library's thread, which would
    /// answer, throws away pending questions when it has left the group. A caller would then wait without end
    /// (librdkafka 2.0.2, `rd_kafka_cgrp_terminated`).
    func metadata() throws(KafkaFailure) -> GroupMetadata {
        guard !isClosing else {
            throw KafkaFailure(RD_KAFKA_RESP_ERR__DESTROY, "the client is leaving its group")
        }
        return try GroupMetadata(of: client)
    }

    /// What made the client useless, if anything did. Some such ends have no event.
    var fatalError: KafkaFailure? { client.fatalError }

    /// Leaves the group. Further events come from ``poll(for:)`` and have to be answered until ``isClosed``.
    func beginClosing() throws(KafkaFailure) {
        isClosing = true
        try KafkaFailure.check(rd_kafka_consumer_close_queue(client.raw, queue))
    }

    /// Whether the member has left the group. If it takes too long, dropping the consumer ends it all the same, and the
    /// broker notices by the session time-out.
    var isClosed: Bool { rd_kafka_consumer_closed(client.raw) != 0 }
}
