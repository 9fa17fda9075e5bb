package import MQLock

extension KafkaInspector {
    /// Checks that the brokers have transactions and let us begin one. Writes nothing except a transactional id, always
    /// the same for a topic, which the brokers forget after a week.
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

    /// Which partitioners agree with the partitions that keys are in.
    package struct Spread: Sendable, Equatable {
        /// How many records with a key were looked at.
        package var records = 0
        /// How many of them are where each partitioner places them.
        package var matches: [Partitioner: Int] = [:]

        package init() {}

        /// Counts one record; without a key, it can be anywhere.
        package mutating func add(key: [UInt8], partition: Int, of count: Int) {
            guard !key.isEmpty else { return }
            records += 1
            for partitioner in Partitioner.all where Int(partitioner.partition(of: key, count: count)) == partition {
                matches[partitioner, default: 0] += 1
            }
        }

        /// The partitioners that agree with every record.
        package var fitting: [Partitioner] { Partitioner.all.filter { records > 0 && matches[$0] == records } }
    }

    /// Looks at the newest records of a topic, some in each partition.
    package func spread(
        of topic: String, partitions: Int, records: Int64 = 20, within limit: Duration = .seconds(10)
    ) async throws(LockError) -> Spread {
        let connection = connection
        return try await newQueue().run { _ throws(LockError) in
            // No member joins this group.
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
