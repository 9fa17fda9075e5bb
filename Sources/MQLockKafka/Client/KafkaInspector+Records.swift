package import MQLock

extension KafkaInspector {
    /// Whether the brokers have transactions and let us begin one. Nothing is written but a transactional id, always the
    /// same for a topic, which the brokers forget after a week.
    /// - Throws: `LockError`: `accessRefused`, or why none can be begun.
    package func checkTransactions(of topic: String, within limit: Duration = .seconds(5)) async throws(LockError) {
        let connection = connection
        try await newQueue().run { _ throws(LockError) in
            let producer = try TransactionalProducer(
                connection, id: "mqlock/\(topic)/doctor", timeout: .seconds(10))
            do throws(KafkaFailure) {
                _ = try producer.learn(topic, within: limit)
                try producer.start(within: limit)
            } catch {
                throw LockError(error, while: "beginning a transaction")
            }
        }
    }

    /// By which partitioners the keys of records lie where they do.
    package struct Spread: Sendable, Equatable {
        /// How many records with a key were looked at.
        package var records = 0
        /// How many of them lie where each partitioner puts them.
        package var matches: [Partitioner: Int] = [:]

        package init() {}

        /// Counts one record in; without a key, it lies anywhere.
        package mutating func add(key: [UInt8], partition: Int, of count: Int) {
            guard !key.isEmpty else { return }
            records += 1
            for partitioner in Partitioner.all where Int(partitioner.partition(of: key, count: count)) == partition {
                matches[partitioner, default: 0] += 1
            }
        }

        /// The partitioners by which every record lies right.
        package var fitting: [Partitioner] { Partitioner.all.filter { records > 0 && matches[$0] == records } }
    }

    /// Looks at the newest records of a topic, some of each partition.
    package func spread(
        of topic: String, partitions: Int, records: Int64 = 20, within limit: Duration = .seconds(10)
    ) async throws(LockError) -> Spread {
        let connection = connection
        return try await newQueue().run { _ throws(LockError) in
            // Nobody joins it.
            let reader = try LogReader(connection, group: "mqlock.v1.doctor/\(topic)", .uncommitted)
            var spread = Spread()
            do throws(KafkaFailure) {
                let bounds = try reader.bounds(topic, (0..<Int32(partitions)).map { $0 }, within: limit)
                try reader.read(
                    topic, bounds.mapValues { max($0.lowerBound, $0.upperBound - records)..<$0.upperBound },
                    within: limit
                ) { spread.add(key: $0.key, partition: Int($0.partition), of: partitions) }
            } catch {
                throw LockError(error, while: "reading \(topic.escapedForDisplay)")
            }
            return spread
        }
    }
}
