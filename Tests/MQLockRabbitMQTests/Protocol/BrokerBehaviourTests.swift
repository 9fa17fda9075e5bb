import MQLock
import Testing

@testable import MQLockRabbitMQ

/// The table of the article *Broker versions*, row by row. 3.10 was tried on 3.10.8; the rest is documentation.
@Suite struct BrokerBehaviourTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let version: String
        var deliveryLimit: Int64?
        let quorumOverdue: BrokerBehaviour.Overdue
        let classicOverdue: BrokerBehaviour.Overdue
        /// What this version writes on the fourth delivery of a message that was put back three times by nack.
        let countHeaders: [String: FieldValue]
        var testDescription: String { version }
    }

    private static let deliveries: [String: FieldValue] = ["x-delivery-count": .int64(3)]
    /// The delivery count is of failures there, and a nack is none.
    private static let acquisitions: [String: FieldValue] = [
        "x-acquired-count": .int64(3), "x-delivery-count": .int64(0),
    ]

    static let rows = [
        Row(version: "3.8.0", quorumOverdue: .stays, classicOverdue: .stays, countHeaders: deliveries),
        Row(version: "3.8.34", quorumOverdue: .closesChannel, classicOverdue: .closesChannel, countHeaders: deliveries),
        Row(version: "3.9.29", quorumOverdue: .closesChannel, classicOverdue: .closesChannel, countHeaders: deliveries),
        Row(version: "3.10.8", quorumOverdue: .closesChannel, classicOverdue: .closesChannel, countHeaders: deliveries),
        Row(
            version: "3.12.14", quorumOverdue: .closesChannel, classicOverdue: .closesChannel, countHeaders: deliveries),
        Row(version: "3.13.7", quorumOverdue: .closesChannel, classicOverdue: .closesChannel, countHeaders: deliveries),
        Row(
            version: "4.0.9", deliveryLimit: -1, quorumOverdue: .closesChannel, classicOverdue: .closesChannel,
            countHeaders: deliveries),
        Row(
            version: "4.1.8", deliveryLimit: -1, quorumOverdue: .closesChannel, classicOverdue: .closesChannel,
            countHeaders: deliveries),
        Row(
            version: "4.2.9", deliveryLimit: -1, quorumOverdue: .closesChannel, classicOverdue: .closesChannel,
            countHeaders: deliveries),
        Row(
            version: "4.3.5", deliveryLimit: -1, quorumOverdue: .cancelsConsumer, classicOverdue: .stays,
            countHeaders: acquisitions),
    ]

    private func behaviours(_ text: String) throws -> (quorum: BrokerBehaviour, classic: BrokerBehaviour) {
        let version = try #require(BrokerVersion(text))
        return (BrokerBehaviour(version, .replicated), BrokerBehaviour(version, .fast))
    }

    @Test(arguments: rows) func queuesAreDeclaredByVersion(_ row: Row) throws {
        let (quorum, classic) = try behaviours(row.version)
        let objects = try ObjectNames("job", vhost: "/")
        let fortnight = FieldValue.int64(14 * 24 * 60 * 60 * 1000)
        var common: [String: FieldValue] = ["x-queue-type": "quorum", "x-expires": fortnight]
        common["x-delivery-limit"] = row.deliveryLimit.map { .int64($0) }
        #expect(QueueArguments.token(objects, quorum).pairs == common)
        #expect(
            QueueArguments.singleActiveConsumer(quorum).pairs
                == common.merging(["x-single-active-consumer": true]) { $1 })
        // Classic queues have no delivery limit, on no version.
        #expect(
            QueueArguments.token(objects, classic).pairs == [
                "x-queue-type": "classic", "x-expires": fortnight, "x-dead-letter-exchange": "",
                "x-dead-letter-routing-key": .string(objects.queue),
            ])
        #expect(
            QueueArguments.singleActiveConsumer(classic).pairs == [
                "x-queue-type": "classic", "x-expires": fortnight, "x-single-active-consumer": true,
            ])
    }

    @Test(arguments: rows) func handOversAreCountedByVersion(_ row: Row) throws {
        let (quorum, classic) = try behaviours(row.version)
        func count(_ behaviour: BrokerBehaviour, _ headers: [String: FieldValue]) -> Int64 {
            var properties = MessageProperties()
            properties.headers = headers
            return behaviour.handOvers(of: properties, in: "mqlock.v1/job")
        }
        #expect(count(quorum, row.countHeaders) == 3)
        #expect(count(quorum, [:]) == 0, "the first delivery has no count")
        let loop = death("mqlock.v1/job", "rejected", 3)
        #expect(count(classic, ["x-death": .array([loop])]) == 3)
        #expect(count(classic, ["x-death": .array([death("elsewhere", "expired", 7), loop])]) == 3)
        #expect(count(classic, ["x-death": .array([death("elsewhere", "rejected", 7)])]) == 0)
        #expect(count(classic, [:]) == 0)
        #expect(count(classic, row.countHeaders) == 0, "a classic queue's count is its own")
    }

    private func death(_ queue: String, _ reason: String, _ count: Int64) -> FieldValue {
        .table(["queue": .string(queue), "reason": .string(reason), "count": .int64(count)])
    }

    @Test(arguments: rows) func anOverlongHoldEndsByVersion(_ row: Row) throws {
        let (quorum, classic) = try behaviours(row.version)
        #expect(quorum.overdue == row.quorumOverdue)
        #expect(classic.overdue == row.classicOverdue)
        // Whatever else it may mean there: a consumer that the broker cancels has lost the lock.
        #expect(quorum.cancelled.kind == .queueDeleted)
        #expect(quorum.cancelled.detail.contains("consumer_timeout") == (row.quorumOverdue == .cancelsConsumer))
        #expect(classic.cancelled == LossReason(.queueDeleted))
    }

    @Test func theTimeoutCameWithAPatch() throws {
        #expect(try behaviours("3.8.14").quorum.overdue == .stays)
        #expect(try behaviours("3.8.15").quorum.overdue == .closesChannel)
    }

    /// They ignore `x-single-active-consumer` and `x-queue-type`, so that every consumer would be active.
    @Test(arguments: ["3.6.16", "3.7.28"]) func olderBrokersAreRefused(_ version: String) throws {
        let error = #expect(throws: LockError.self) { try behaviours(version).quorum.check() }
        #expect(error?.code == .incompatible)
        #expect(error?.message.contains(version) == true)
    }

    @Test(arguments: rows) func theseAreNot(_ row: Row) throws { try behaviours(row.version).quorum.check() }

    /// A token must not expire before its register, which would then name a token that is no more.
    @Test func theRegisterExpiresFirst() throws {
        for durability in [RabbitMQLocks.Durability.replicated, .fast] {
            let behaviour = BrokerBehaviour(BrokerVersion(3, 10, 8), durability)
            let token = try #require(
                QueueArguments.token(ObjectNames("job", vhost: "/"), behaviour).pairs["x-expires"]?.integer)
            let register = QueueArguments.register(Nonce(), durability).pairs
            #expect(try #require(register["x-expires"]?.integer) >= 7 * 24 * 60 * 60 * 1000)
            #expect(try token >= 2 * #require(register["x-expires"]?.integer))
            #expect(register["x-queue-type"] == .string(durability.queueType))
        }
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
