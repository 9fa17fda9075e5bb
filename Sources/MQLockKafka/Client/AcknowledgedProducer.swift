import MQLock

/// A producer without transactions. When a call returns, all replicas have its records. Blocks; belongs to one thread
/// at a time.
final class AcknowledgedProducer: @unchecked Sendable {
    private let sender: RecordSender

    /// - Parameter timeout: after which a record that was not acknowledged has failed.
    init(
        _ connection: KafkaConnection, timeout: Duration, log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        sender = try RecordSender(connection, timeout: timeout, [("acks", "all")], log: log)
    }

    var brokerTime: Int64? { sender.brokerTime }

    /// Writes these records and waits for every acknowledgement. When it throws, any of them may have been written.
    func produce(_ records: [ProducedRecord], within limit: Duration) throws(KafkaFailure) {
        for record in records { try sender.send(record) }
        // The library itself gives up on a record at its time-out, so every record is reported.
        if let failure = try sender.reports(within: limit * 2) { throw failure }
    }
}
