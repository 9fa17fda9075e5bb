import CMQLockRdKafka
public import MQLock

/// Looks at a cluster without joining anything: for what you need to know before you create a ``ShardOwnership``.
///
/// ```swift
/// let count = try await KafkaInspector(connection).partitionCount(of: "orders.locks")
/// ```
public struct KafkaInspector: Sendable {
    let connection: KafkaConnection

    /// Creates an inspector of a cluster; no I/O happens before the first question.
    public init(_ connection: KafkaConnection) { self.connection = connection }

    /// How many partitions a topic has now; `nil` when there is no such topic.
    ///
    /// The number is for people and checks. ``ShardOwnership/Configuration/partitions`` is configured, because more
    /// partitions would silently change the owners of names.
    /// - Parameters:
    ///   - topic: the topic's name.
    ///   - limit: how long to try to reach the cluster.
    /// - Throws: `LockError`: `unreachable` when no broker answered in time; `accessRefused` for credentials,
    ///   certificates or permissions; `invalidConfiguration`; `cancelled`, within a second of the cancellation.
    public func partitionCount(of topic: String, within limit: Duration = .seconds(30)) async throws(LockError) -> Int?
    {
        try await newQueue().run { cancellation throws(LockError) in
            try askForPartitions(topic, within: limit, cancellation)
        }
    }

    /// Questions do not wait for each other.
    func newQueue() -> BlockingQueue { BlockingQueue("inspector") }

    /// Asks until there is an answer, or a permanent error.
    private func askForPartitions(
        _ topic: String, within limit: Duration, _ cancellation: Cancellation
    ) throws(LockError) -> Int? {
        let settings = ClientSettings(connection: connection, own: [])
        let limit = max(.zero, limit)
        // The failure alone does not say why a connection fails, or what its broker does not understand; an event does.
        let said = Locked<String?>(nil)
        let client = try ClientHandle(.consumer, settings, events: RD_KAFKA_EVENT_ERROR) { line in
            if line.level <= 5 { said.withLock { $0 = line.text } }
        }
        let deadline = ContinuousClock.now.after(limit)
        var last: KafkaFailure?
        while true {
            let left = ContinuousClock.now.duration(to: deadline)
            do throws(KafkaFailure) {
                let slice = min(.seconds(1), max(left, .milliseconds(1)))
                return try ClusterMetadata.partitionCount(of: topic, client, within: slice)
            } catch {
                let cause =
                    client.nextError { failure in
                        if !failure.code.isAllDown { last = failure }
                        return failure.code.needsAttention != nil
                    } ?? error
                guard cause.code.isTransient else { throw LockError(cause, while: "asking the cluster") }
                guard !cancellation.isCancelled else { throw LockError(.cancelled, "the question was cancelled") }
                guard left > .zero else {
                    let reason = last?.text ?? said.withLock { $0 } ?? error.text
                    throw LockError(
                        .unreachable,
                        """
                        no broker of \(connection.brokers.joined(separator: ",").escapedForDisplay) answered in \
                        \(limit.readable): \(reason); check the addresses, the network, and whether Kafka is what \
                        listens there
                        """, underlying: last ?? error)
                }
            }
        }
    }
}

extension ClientHandle {
    /// The first of the client's errors that matches. The client's events have to be polled for this, and nothing else
    /// may poll it.
    func nextError(where isSuch: (KafkaFailure) -> Bool) -> KafkaFailure? {
        guard let queue = rd_kafka_queue_get_main(raw) else { return nil }
        defer { rd_kafka_queue_destroy(queue) }
        while let event = rd_kafka_queue_poll(queue, 0) {
            defer { rd_kafka_event_destroy(event) }
            guard rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR else { continue }
            let failure = KafkaFailure(of: event)
            if isSuch(failure) { return failure }
        }
        return nil
    }
}
