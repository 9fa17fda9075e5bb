import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// Messages that carry the stamp of a real lease through a real queue.
    @Suite struct StampedMessageTests {}
}

extension LiveBrokerTests.StampedMessageTests {
    /// The former holder's message comes behind its successor's, as it does when it was stopped before publishing.
    @Test func lateMessageOfAFormerHolderIsRefused() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let locks = try broker.locks()
            var stamps: [FenceStamp] = []
            for _ in 0..<2 {
                let held = try await locks.acquire(name, within: .seconds(20))
                stamps.append(FenceStamp(held.lease))
                try await held.release()
            }
            let gate = StampedMessageGate(MemoryFenceGate(), isExpected: { $0 == name })
            var verdicts: [StampVerdict<[UInt8]>] = []
            try broker.raw { client in
                let queue = "mqlock-test-\(UInt64.random(in: 0 ... .max))"
                try client.declareExclusive(queue)
                try client.consume(queue, prefetch: 0)
                for (number, stamp) in [stamps[0], stamps[1], stamps[0], nil].enumerated() {
                    var properties = MessageProperties()
                    for (key, value) in stamp?.headers ?? [] { properties.headers[key] = .string(value) }
                    // Not ours, and skipped.
                    properties.headers["x-number"] = .int32(Int32(number))
                    let delivery = try client.publishToOurselves([UInt8(number)], to: queue, properties: properties)
                    let headers = delivery.properties.headers.map { ($0.key, $0.value.string.map { Array($0.utf8) }) }
                    verdicts.append(try gate.withAdmission(headers) { _ in delivery.body })
                }
            }
            let refusal = FenceRefusal(presented: stamps[0].token, highest: stamps[1].token)
            #expect(
                verdicts == [
                    .written(stamps[0], [0]), .written(stamps[1], [1]), .stale(stamps[0], refusal), .unstamped,
                ])
            await locks.shutdown()
        }
    }
}
