import MQLock
import Testing

@testable import MQLockRabbitMQ

/// The table of the article *Broker versions*, row by row.
@Suite struct BrokerBehaviorTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let version: String
        var deliveryLimit: Int64?
        let overdue: BrokerBehavior.Overdue
        /// What this version writes on the fourth delivery of a message that was returned three times, by release or nack.
        let countHeaders: [String: FieldValue]
        var testDescription: String { version }
    }

    private static let deliveries: [String: FieldValue] = ["x-delivery-count": .int64(3)]
    /// The delivery count is of failures there, and a nack is none.
    private static let acquisitions: [String: FieldValue] = [
        "x-acquired-count": .int64(3), "x-delivery-count": .int64(0),
    ]

    static let rows = [
        Row(version: "3.10.0", overdue: .closesChannel, countHeaders: deliveries),
        Row(version: "3.10.8", overdue: .closesChannel, countHeaders: deliveries),
        Row(version: "3.12.14", overdue: .closesChannel, countHeaders: deliveries),
        Row(version: "3.13.7", overdue: .closesChannel, countHeaders: deliveries),
        Row(version: "4.0.5", deliveryLimit: -1, overdue: .closesChannel, countHeaders: deliveries),
        Row(version: "4.1.8", deliveryLimit: -1, overdue: .closesChannel, countHeaders: deliveries),
        Row(version: "4.2.9", deliveryLimit: -1, overdue: .closesChannel, countHeaders: deliveries),
        Row(version: "4.3.6", deliveryLimit: -1, overdue: .cancelsConsumer, countHeaders: acquisitions),
    ]

    private func behavior(_ text: String) throws -> BrokerBehavior { BrokerBehavior(try #require(BrokerVersion(text))) }

    @Test(arguments: rows) func queuesAreDeclaredByVersion(_ row: Row) throws {
        let behavior = try behavior(row.version)
        var common: [String: FieldValue] = ["x-queue-type": "quorum", "x-expires": .int64(15 * 24 * 60 * 60 * 1000)]
        common["x-delivery-limit"] = row.deliveryLimit.map { .int64($0) }
        #expect(QueueArguments.token(behavior).pairs == common)
        #expect(QueueArguments.line(behavior).pairs == common.merging(["x-single-active-consumer": true]) { $1 })
    }

    @Test(arguments: rows) func returnsAreCountedByVersion(_ row: Row) {
        func count(_ headers: [String: FieldValue]) -> Int64 {
            var properties = MessageProperties()
            properties.headers = headers
            return BrokerBehavior.returns(of: properties)
        }
        #expect(count(row.countHeaders) == 3)
        #expect(count([:]) == 0, "the first delivery has no count")
    }

    @Test(arguments: rows) func anOverlongHoldEndsByVersion(_ row: Row) throws {
        let behavior = try behavior(row.version)
        #expect(behavior.overdue == row.overdue)
        #expect(behavior.cancelled.kind == (row.overdue == .cancelsConsumer ? .consumerCancelled : .queueDeleted))
        #expect(behavior.cancelled.detail.contains("consumer_timeout") == (row.overdue == .cancelsConsumer))
    }

    @Test(arguments: ["3.6.16", "3.7.28", "3.8.34", "3.9.29"]) func olderBrokersAreRefused(_ version: String) throws {
        let error = #expect(throws: LockError.self) { try behavior(version).check() }
        #expect(error?.code == .incompatible)
        #expect(error?.message.contains(version) == true)
    }

    @Test(arguments: rows) func theseAreNot(_ row: Row) throws { try behavior(row.version).check() }

    /// A token must not expire before its register, which would then name a token that is no more.
    @Test func theRegisterExpiresFirst() throws {
        let behavior = BrokerBehavior(BrokerVersion(3, 10, 8))
        let token = try #require(QueueArguments.token(behavior).pairs["x-expires"]?.integer)
        let register = QueueArguments.register(Nonce()).pairs
        #expect(try #require(register["x-expires"]?.integer) >= 7 * 24 * 60 * 60 * 1000)
        #expect(try token > 2 * #require(register["x-expires"]?.integer))
        #expect(register["x-queue-type"] == "quorum")
        // Else a declaration would need permissions on yet another exchange.
        #expect(register["x-dead-letter-exchange"] == .string(ObjectNames.exchange))
    }

    @Test(
        arguments: [
            ("3.10.8", BrokerVersion(3, 10, 8)), ("4.0.0-rc.1", BrokerVersion(4, 0, 0)),
            ("3.13.7+12.gabc", BrokerVersion(3, 13, 7)), ("4.1", BrokerVersion(4, 1, 0)), ("", nil), ("four", nil),
            ("4", nil),
        ] as [(String, BrokerVersion?)])
    func readsVersions(text: String, version: BrokerVersion?) {
        #expect(BrokerVersion(text) == version)
    }
}
