import CRdKafka
import MQLock

/// A producer of transactions. Blocks; belongs to one thread at a time.
final class TransactionalProducer: @unchecked Sendable {
    typealias Record = ProducedRecord

    private let client: ClientHandle
    private let reports: DeliveryReports

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
                    // As Java's default partitioner has it, and as names belong to shards.
                    ("partitioner", "murmur2_random"),
                ]), events: DeliveryReports.events, log: log)
        reports = try DeliveryReports(client)
    }

    /// Registers with the coordinator; once, before the first transaction.
    func start(within limit: Duration) throws(KafkaFailure) {
        try KafkaFailure.check(rd_kafka_init_transactions(client.raw, milliseconds(limit)))
    }

    func begin() throws(KafkaFailure) { try KafkaFailure.check(rd_kafka_begin_transaction(client.raw)) }

    func produce(_ record: Record) throws(KafkaFailure) {
        try record.produce(client)
        reports.expectOne()
    }

    /// Waits until every record has been taken or refused by its broker; which of both, the commit tells.
    func flush(within limit: Duration) throws(KafkaFailure) { _ = try reports.all(within: limit) }

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
        try flush(within: limit)
        try KafkaFailure.check(rd_kafka_commit_transaction(client.raw, milliseconds(limit)))
    }

    func abort(within limit: Duration) throws(KafkaFailure) {
        // What nobody has sent yet, nobody needs to. The library waits for the reports, and leaves them to us.
        rd_kafka_purge(client.raw, RD_KAFKA_PURGE_F_QUEUE)
        try flush(within: limit)
        try KafkaFailure.check(rd_kafka_abort_transaction(client.raw, milliseconds(limit)))
    }

    /// The first error of a transaction that has to be aborted: a call that meets it on its way says no more than that the
    /// state is wrong. Only within a transaction, where the call that is made here is refused by the library in any case.
    func failureOfTransaction() -> KafkaFailure? {
        do throws(KafkaFailure) {
            try begin()
            return nil
        } catch {
            return error.needsAbort ? error : nil
        }
    }

    /// What made the client useless, if anything did.
    var fatalError: KafkaFailure? { client.fatalError }

    /// The client itself, for questions about the cluster.
    var handle: ClientHandle { client }

    private func milliseconds(_ limit: Duration) -> Int32 {
        Int32(clamping: max(1, limit.nanoseconds / 1_000_000))
    }
}
