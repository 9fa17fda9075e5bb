import MQLock

/// A producer without transactions, whose records all replicas have when a call returns. Blocks; belongs to one thread at
/// a time.
final class AcknowledgedProducer: @unchecked Sendable {
    private let client: ClientHandle
    private let reports: DeliveryReports

    /// - Parameter timeout: after which a record that was not acknowledged has failed.
    init(
        _ connection: KafkaConnection, timeout: Duration, log: @escaping @Sendable (LogLine) -> Void = { _ in }
    ) throws(LockError) {
        let milliseconds = String(timeout.nanoseconds / 1_000_000)
        client = try ClientHandle(
            .producer,
            ClientSettings(
                connection: connection,
                own: [
                    ("acks", "all"), ("message.timeout.ms", milliseconds), ("socket.timeout.ms", milliseconds),
                    ("linger.ms", "0"),
                ]), events: DeliveryReports.events, log: log)
        reports = try DeliveryReports(client)
    }

    /// The client itself, for questions about the cluster.
    var handle: ClientHandle { client }

    /// Writes these records and waits for every acknowledgement. When it throws, any of them may have been written.
    func produce(_ records: [ProducedRecord], within limit: Duration) throws(KafkaFailure) {
        for record in records {
            try record.produce(client)
            reports.expectOne()
        }
        // The library itself gives up on a record at its time-out, so that every one is reported.
        if let failure = try reports.all(within: limit * 2) { throw failure }
    }
}
