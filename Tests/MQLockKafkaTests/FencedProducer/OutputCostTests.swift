import Foundation
import MQLock
import Testing

@testable import MQLockKafka

extension LiveKafkaTests {
    /// What fencing costs; figures to read, no thresholds.
    @Suite(
        .serialized,
        .enabled(
            if: ProcessInfo.processInfo.environment["MQLOCK_TEST_FULL"] == "1",
            "full: prints what transactions and claims cost; set MQLOCK_TEST_FULL=1"))
    struct OutputCostTests {
        @Test func fencedAndPlainTransactionsAndClaims() async throws {
            let broker = try LiveKafkaTests.broker()
            let topic = try broker.makeTopic(partitions: 1)
            let output = try broker.makeTopic(partitions: 1)
            let member = try Member(broker, topic, partitions: 1, session: .seconds(10))
            try await eventually("the shard") { member.owns(1) }
            let lease = try #require(member.ownership.lease(for: 0))
            let value = Array(repeating: UInt8(7), count: 100)

            let plain = try TransactionalProducer(broker.connection, id: output, timeout: .seconds(10))
            _ = try ClusterMetadata.partitionCount(of: output, plain.handle, within: .seconds(5))
            try plain.start(within: .seconds(10))
            let fenced = try FencedProducer(member.ownership)
            try await fenced.warmUp()
            // In turn, so that whatever else the machine does meets all of them.
            var costs: [String: [Duration]] = [:]
            for number in 0..<210 {
                let first = ContinuousClock.now
                try plain.begin()
                try plain.produce(.init(topic: output, partition: 0, key: value, value: value))
                try plain.commit(within: .seconds(10))
                let second = ContinuousClock.now
                try await fenced.transaction(for: lease) { $0.send(output, partition: 0, key: value, value: value) }
                let third = ContinuousClock.now
                try await fenced.transaction(for: lease) { batch in
                    for _ in 0..<100 { batch.send(output, partition: 0, key: value, value: value) }
                }
                guard number >= 10 else { continue }
                costs["plain transaction, 1 record", default: []].append(first.duration(to: second))
                costs["fenced transaction, 1 record", default: []].append(second.duration(to: third))
                costs["fenced transaction, 100 records", default: []].append(third.duration(to: .now))
            }
            let metadata = try #require(member.ownership.board.hold(0)?.fence?.metadata)
            for method in [ClaimMethod.transactional, .acknowledged] {
                let worker = ClaimWorker(
                    .init(
                        connection: broker.connection, topic: topic, group: member.ownership.group, partitions: 1,
                        owner: "test", method: method), log: { _ in })
                for number in 0..<60 {
                    let start = ContinuousClock.now
                    let outcome = await worker.claim([0], metadata)
                    guard case .committed = outcome else { throw LockError(.internalError, "\(outcome)") }
                    if number >= 10 {
                        costs["claim, \(method), steps 1 to 3", default: []].append(start.duration(to: .now))
                    }
                }
                worker.close()
            }
            for (what, times) in costs.sorted(by: { $0.key < $1.key }) {
                let sorted = times.sorted()
                let p50 = sorted[sorted.count / 2].seconds * 1000
                let p99 = sorted[sorted.count * 99 / 100].seconds * 1000
                print(String(format: "  %@: p50 %.2f ms, p99 %.2f ms, n %d", what, p50, p99, sorted.count))
            }
            await member.leave()
        }
    }
}
