import CMQLockRdKafka
import Foundation
import MQLock
import Testing

@testable import MQLockKafka

/// A service's own topic with orders in it, a lock topic beside it, and a topic for the bills.
final class OrderStage: @unchecked Sendable {
    let broker: LiveKafka
    let partitions: Int
    let orders: String
    let locks: String
    let bills: String
    let group: String
    let partitioner: Partitioner
    private let readers: ReaderPair
    /// How far the bills have been read.
    private var positions: [Int32: Int64] = [:]
    /// What has been billed, by order, and the tokens in the order of each partition.
    private(set) var billed: [String: Int] = [:]
    private(set) var tokens: [Int32: [UInt64]] = [:]

    init(_ broker: LiveKafka, partitions: Int, _ partitioner: Partitioner = .murmur2) throws {
        (self.broker, self.partitions, self.partitioner) = (broker, partitions, partitioner)
        orders = try broker.makeTopic(partitions: partitions, ["cleanup.policy": "delete"])
        bills = try broker.makeTopic(partitions: partitions, ["cleanup.policy": "delete"])
        locks = "\(orders).mqlock"
        try broker.create(locks, partitions: partitions)
        group = "\(orders)-billing"
        readers = try ReaderPair(broker.connection, group: group)
    }

    /// Writes orders as a client would that uses this partitioner.
    func write(_ numbers: Range<Int>, by partitioner: Partitioner? = nil) throws {
        let sender = try RecordSender(
            broker.connection, timeout: .seconds(30),
            [("partitioner", (partitioner ?? self.partitioner).ofProducer), ("enable.idempotence", "true")],
            log: { _ in })
        var known: Set<String> = []
        _ = try sender.client.learn(orders, &known, within: .seconds(10))
        for number in numbers {
            try sender.send(
                ProducedRecord(
                    topic: orders, partition: ProducedRecord.byKey, key: Array("customer-\(number % 997)".utf8),
                    value: Array("order-\(number)".utf8)))
        }
        if let failure = try sender.reports(within: .seconds(60)) { throw failure }
    }

    func configure(_ configuration: inout ShardOwnership.Configuration) {
        (configuration.records, configuration.group) = (orders, group)
        configuration.partitioner = partitioner
    }

    func member(_ change: (inout ShardOwnership.Configuration) -> Void = { _ in }) throws -> Member {
        try Member(broker, locks, partitions: partitions) {
            configure(&$0)
            change(&$0)
        }
    }

    /// Reads the bills that have been committed since the last call.
    func readBills() throws {
        let bounds = try readers.uncommitted.bounds(bills, (0..<Int32(partitions)).map { $0 }, within: .seconds(10))
        let ranges = Dictionary(
            uniqueKeysWithValues: bounds.map {
                ($0.key, (positions[$0.key] ?? $0.value.lowerBound)..<$0.value.upperBound)
            })
        try readers.committed.read(bills, ranges, within: .seconds(60)) { record in
            billed[String(decoding: record.value, as: UTF8.self), default: 0] += 1
            if let stamp = FenceStamp.read(record.headers).stamp {
                tokens[record.partition, default: []].append(stamp.token.rawValue)
            }
        }
        positions = ranges.mapValues(\.upperBound)
    }

    /// Where the group goes on, and where the orders end, for each partition.
    func progress() throws -> [Int32: (committed: Int64, end: Int64)] {
        let all = (0..<Int32(partitions)).map { $0 }
        let bounds = try readers.uncommitted.bounds(orders, all, within: .seconds(10))
        let offsets = try readers.committed.groupOffsets(orders, all, within: .seconds(30))
        return bounds.reduce(into: [:]) { $0[$1.key] = ((offsets[$1.key] ?? nil) ?? 0, $1.value.upperBound) }
    }

    /// A member in a process of its own, which bills until it is told to leave.
    func start(session: Duration) throws -> ShardProcess {
        try ShardProcess([
            "bill", broker.brokers.joined(separator: ","), orders, "\(partitions)",
            "\(session.nanoseconds / 1_000_000)", bills, group, partitioner.description,
        ])
    }
}
