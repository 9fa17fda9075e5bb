import CRdKafka
import MQLock

/// A producer of transactions. Blocks; belongs to one thread at a time.
final class TransactionalProducer: @unchecked Sendable {
    /// A record to write.
    struct Record: Sendable, Equatable {
        var topic: String
        var partition: Int32
        var key: [UInt8]
        var value: [UInt8]
    }

    private let client: ClientHandle

    /// - Parameters:
    ///   - id: the transactional id, unique to this start of this process.
    ///   - timeout: after which the broker aborts a transaction that its producer left open.
    init(
        _ connection: KafkaConnection, id: String, timeout: Duration,
        log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        let milliseconds = String(timeout.nanoseconds / 1_000_000)
        client = try ClientHandle(
            .producer,
            ClientSettings(
                connection: connection,
                own: [
                    ("transactional.id", id), ("transaction.timeout.ms", milliseconds),
                    // No longer than the transaction; nothing to batch.
                    ("message.timeout.ms", milliseconds), ("socket.timeout.ms", milliseconds), ("linger.ms", "0"),
                ]), log: log)
    }

    /// Registers with the coordinator; once, before the first transaction.
    func start(within limit: Duration) throws(KafkaFailure) {
        try KafkaFailure.check(rd_kafka_init_transactions(client.raw, milliseconds(limit)))
    }

    func begin() throws(KafkaFailure) { try KafkaFailure.check(rd_kafka_begin_transaction(client.raw)) }

    func produce(_ record: Record) throws(KafkaFailure) {
        // The library only reads what it is given a mutable pointer to.
        var key = record.key
        var value = record.value
        let error: OpaquePointer? = record.topic.withCString { topic in
            key.withUnsafeMutableBytes { key in
                value.withUnsafeMutableBytes { value in
                    var fields = [rd_kafka_vu_t](repeating: rd_kafka_vu_t(), count: 5)
                    fields[0].vtype = RD_KAFKA_VTYPE_TOPIC
                    fields[0].u.cstr = topic
                    fields[1].vtype = RD_KAFKA_VTYPE_PARTITION
                    fields[1].u.i32 = record.partition
                    fields[2].vtype = RD_KAFKA_VTYPE_KEY
                    fields[2].u.mem = .init(ptr: key.baseAddress, size: key.count)
                    fields[3].vtype = RD_KAFKA_VTYPE_VALUE
                    fields[3].u.mem = .init(ptr: value.baseAddress, size: value.count)
                    fields[4].vtype = RD_KAFKA_VTYPE_MSGFLAGS
                    fields[4].u.i = Int32(RD_KAFKA_MSG_F_COPY)
                    return rd_kafka_produceva(client.raw, fields, fields.count)
                }
            }
        }
        try KafkaFailure.check(error)
    }

    /// Makes group offsets part of the transaction. The broker refuses it when `metadata` is of a stale member.
    func send(
        _ offsets: TopicPartitions, _ metadata: GroupMetadata, within limit: Duration
    ) throws(KafkaFailure) {
        let error = try offsets.withList {
            rd_kafka_send_offsets_to_transaction(client.raw, $0, metadata.raw, milliseconds(limit))
        }
        try KafkaFailure.check(error)
    }

    /// Writes what is outstanding and commits. A time-out leaves the outcome unknown: then ``abort(within:)`` settles it.
    func commit(within limit: Duration) throws(KafkaFailure) {
        try KafkaFailure.check(rd_kafka_commit_transaction(client.raw, milliseconds(limit)))
    }

    func abort(within limit: Duration) throws(KafkaFailure) {
        try KafkaFailure.check(rd_kafka_abort_transaction(client.raw, milliseconds(limit)))
    }

    /// What made the client useless, if anything did.
    var fatalError: KafkaFailure? { client.fatalError }

    /// The client itself, for questions about the cluster.
    var handle: ClientHandle { client }

    private func milliseconds(_ limit: Duration) -> Int32 {
        Int32(clamping: max(1, limit.nanoseconds / 1_000_000))
    }
}
