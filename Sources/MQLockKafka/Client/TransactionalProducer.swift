import CMQLockRdKafka
import MQLock

/// A producer of transactions. Blocks; belongs to one thread at a time.
final class TransactionalProducer: @unchecked Sendable {
    typealias Record = ProducedRecord

    private let sender: RecordSender
    private var client: ClientHandle { sender.client }
    private var knownTopics: Set<String> = []

    /// - Parameters:
    ///   - id: the transactional id, unique to this start of this process.
    ///   - timeout: after which the broker aborts a transaction that its producer left open.
    ///   - partitioner: chooses the partition of records that have a key and name no partition.
    init(
        _ connection: KafkaConnection, id: String, timeout: Duration, partitioner: Partitioner = .murmur2,
        log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        sender = try RecordSender(
            connection, timeout: timeout,
            [
                ("transactional.id", id), ("transaction.timeout.ms", timeout.inMilliseconds),
                // The same as for names and shards.
                ("partitioner", partitioner.ofProducer),
            ], log: log)
    }

    /// A producer that can begin its first transaction.
    ///
    /// A transactional id is for one client of one start of one process: another client with the same id would fence
    /// it.
    /// - Parameters:
    ///   - topic: the lock topic.
    ///   - purpose: what it writes; a part of its id.
    ///   - limit: for each question to the cluster.
    static func ready(
        _ connection: KafkaConnection, topic: String, purpose: String, timeout: Duration, within limit: Duration,
        partitioner: Partitioner = .murmur2,
        log: @escaping @Sendable (LogLine) -> Void
    ) throws -> TransactionalProducer {
        let id = "mqlock/\(topic)/\(RandomID())/\(purpose)"
        let producer = try TransactionalProducer(
            connection, id: id, timeout: timeout, partitioner: partitioner, log: log)
        // First, because a search for the coordinator without a connection sleeps for a second.
        _ = try producer.learn(topic, within: limit)
        try producer.start(within: limit)
        return producer
    }

    /// Asks for a topic that is new to the client: by itself it would look for it only once a second.
    /// - Returns: whether there is such a topic.
    func learn(_ topic: String, within limit: Duration) throws(KafkaFailure) -> Bool {
        try client.learn(topic, &knownTopics, within: limit)
    }

    /// Registers with the coordinator; once, before the first transaction.
    func start(within limit: Duration) throws(KafkaFailure) {
        try KafkaFailure.check(rd_kafka_init_transactions(client.raw, limit.callLimit))
    }

    func begin() throws(KafkaFailure) { try KafkaFailure.check(rd_kafka_begin_transaction(client.raw)) }

    func produce(_ record: Record) throws(KafkaFailure) {
        try sender.send(record)
    }

    /// Waits until each record has been accepted or refused by its broker. The commit says which.
    func flush(within limit: Duration) throws(KafkaFailure) { _ = try sender.reports(within: limit) }

    /// Makes group offsets part of the transaction. The broker refuses it when `metadata` is of a stale member.
    func send(
        _ offsets: [TopicPartitions], _ metadata: GroupMetadata, within limit: Duration
    ) throws(KafkaFailure) {
        let error = try offsets.withList {
            rd_kafka_send_offsets_to_transaction(client.raw, $0, metadata.raw, limit.callLimit)
        }
        try KafkaFailure.check(error)
    }

    /// Writes what is outstanding and commits. A time-out leaves the outcome unknown: ``abort(within:)`` then settles
    /// it.
    func commit(within limit: Duration) throws(KafkaFailure) {
        try flush(within: limit)
        try KafkaFailure.check(rd_kafka_commit_transaction(client.raw, limit.callLimit))
    }

    func abort(within limit: Duration) throws(KafkaFailure) {
        // Records that are not sent yet are dropped. The library waits for their reports, and leaves these to us.
        rd_kafka_purge(client.raw, RD_KAFKA_PURGE_F_QUEUE)
        try flush(within: limit)
        try KafkaFailure.check(rd_kafka_abort_transaction(client.raw, limit.callLimit))
    }

    /// The first error of a transaction that has to be aborted: a call that meets it says only that the state is wrong.
    /// Only within a transaction, where the library refuses the call made here in any case.
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

    var brokerTime: Int64? { sender.brokerTime }

    /// The client itself, for questions about the cluster.
    var handle: ClientHandle { client }
}
