import CMQLockRdKafka
import MQLock

/// Reads partitions of a service's own topic with one client, each from the group's committed offset on.
///
/// It joins no group: the ownership of shards decides which member reads what. Each partition has a queue of its own.
/// The library stops fetching for a slow reader, which keeps no other waiting.
final class RecordConsumer: @unchecked Sendable {
    private let topic: String
    private let transactionTimeout: Duration
    private let queue = BlockingQueue("records")
    // Used on the queue only.
    private var client: OnDemand<ClientHandle, LockError>
    private var open: [Int32: PartitionQueue] = [:]

    /// - Parameter transactionTimeout: how long an earlier owner's transaction may be open on an offset.
    init(_ connection: KafkaConnection, topic: String, group: String, transactionTimeout: Duration) {
        (self.topic, self.transactionTimeout) = (topic, transactionTimeout)
        client = OnDemand { () throws(LockError) in
            let client = try ClientHandle(
                .consumer,
                ClientSettings(
                    connection: connection,
                    own: [
                        // Only to ask for its offsets.
                        ("group.id", group), ("isolation.level", "read_committed"), ("enable.auto.commit", "false"),
                        ("enable.auto.offset.store", "false"), ("auto.offset.reset", "error"), ("check.crcs", "true"),
                        // For each partition: enough for a fetch or two, and no more than is processed soon.
                        ("queued.min.messages", "1000"), ("fetch.wait.max.ms", "100"),
                    ]))
            rd_kafka_poll_set_consumer(client.raw)
            return client
        }
    }

    /// Begins to read a partition. An earlier reader of it gets nothing more.
    /// - Parameter signal: called when there may be something to read, on a library thread.
    func open(
        _ partition: Int32, signal: @escaping @Sendable () -> Void
    ) async throws(LockError) -> PartitionQueue {
        try await queue.run { [self] cancellation throws(LockError) in
            let client = try client.ready()
            close(partition)
            do throws(KafkaFailure) {
                let committed = try committedOffset(partition, client, cancellation)
                let queue = try PartitionQueue(client, topic, partition, signal)
                let list = TopicPartitions(topic, offsets: [partition: committed ?? Int64(RD_KAFKA_OFFSET_BEGINNING)])
                try KafkaFailure.check(try list.withList { rd_kafka_incremental_assign(client.raw, $0) })
                open[partition] = queue
                return queue
            } catch {
                throw LockError(error, while: "reading \(topic.escapedForDisplay)/\(partition)")
            }
        }
    }

    /// Stops reading this partition.
    func close(_ reading: PartitionQueue) {
        queue.start { [self] in
            if open[reading.partition] === reading { close(reading.partition) }
        }
    }

    private func close(_ partition: Int32) {
        guard let reading = open.removeValue(forKey: partition), let client = client.existing else { return }
        reading.silence()
        let list = TopicPartitions(topic, [partition])
        // An error means that it is not being read.
        let error = try? list.withList { rd_kafka_incremental_unassign(client.raw, $0) }
        if let error { _ = KafkaFailure(taking: error) }
        if open.isEmpty { self.client.drop() }
    }

    /// Where the group's work continues; nil when it has not begun. Waits until no earlier owner's transaction is open
    /// on it.
    private func committedOffset(
        _ partition: Int32, _ client: ClientHandle, _ cancellation: Cancellation
    ) throws(KafkaFailure) -> Int64? {
        let deadline = ContinuousClock.now.after(transactionTimeout + .seconds(5))
        while true {
            do throws(KafkaFailure) {
                var list = TopicPartitions(topic, [partition])
                try KafkaFailure.check(
                    try list.fill { rd_kafka_committed(client.raw, $0, Duration.seconds(1).callLimit) })
                if let failure = list.entries.first?.failure { throw failure }
                return list.entries.first.flatMap { $0.offset >= 0 ? $0.offset : nil }
            } catch {
                guard error.code.isTransient, ContinuousClock.now < deadline, !cancellation.isCancelled else {
                    throw error
                }
            }
        }
    }
}

/// Fetched records of one partition. Belongs to one task at a time.
final class PartitionQueue: @unchecked Sendable {
    let partition: Int32
    private let client: ClientHandle
    private let raw: OpaquePointer
    private let signal: Signal

    private final class Signal: Sendable {
        let call: @Sendable () -> Void
        init(_ call: @escaping @Sendable () -> Void) { self.call = call }
    }

    fileprivate init(
        _ client: ClientHandle, _ topic: String, _ partition: Int32, _ signal: @escaping @Sendable () -> Void
    ) throws(KafkaFailure) {
        guard let raw = rd_kafka_queue_get_partition(client.raw, topic, partition) else {
            throw KafkaFailure(RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION)
        }
        (self.client, self.partition, self.raw, self.signal) = (client, partition, raw, Signal(signal))
        // By default it ends in the consumer's own queue.
        rd_kafka_queue_forward(raw, nil)
        rd_kafka_queue_cb_event_enable(raw, relaySignal, Unmanaged.passUnretained(self.signal).toOpaque())
    }

    deinit {
        silence()
        rd_kafka_queue_destroy(raw)
    }

    /// No signal comes after this.
    func silence() { rd_kafka_queue_cb_event_enable(raw, nil, nil) }

    /// The next record that is there, without waiting; nil when there is none. A signal comes when there is again.
    func next() throws(KafkaFailure) -> LogReader.Record? {
        while let message = rd_kafka_consume_queue(raw, 0) {
            defer { rd_kafka_message_destroy(message) }
            guard message.pointee.err != RD_KAFKA_RESP_ERR_NO_ERROR else { return LogReader.Record(message) }
            let failure = KafkaFailure(
                message.pointee.err, rd_kafka_message_errstr(message).map { String(cString: $0) })
            // The library recovers from temporary failures.
            guard failure.code.isTransient else { throw failure }
        }
        return nil
    }

    fileprivate static func signal(_ opaque: UnsafeMutableRawPointer?) {
        guard let opaque else { return }
        Unmanaged<Signal>.fromOpaque(opaque).takeUnretainedValue().call()
    }
}

private func relaySignal(_ client: OpaquePointer?, _ opaque: UnsafeMutableRawPointer?) { PartitionQueue.signal(opaque) }
