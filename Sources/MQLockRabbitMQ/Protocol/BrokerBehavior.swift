import MQLock

/// The behavior that locks depend on and that differs between versions of RabbitMQ: a pure function of the version that
/// the broker names. The article *Broker versions* has it as a table, and says how each row was established.
struct BrokerBehavior: Equatable, Sendable {
    let version: BrokerVersion

    init(_ version: BrokerVersion) { self.version = version }

    /// The oldest supported version: the oldest that locks were tested on. Versions before 3.8 know neither quorum
    /// queues nor the single active consumer, and ignore both arguments: every consumer would be active.
    static let oldest = BrokerVersion(3, 10, 0)

    /// The versions that the tests run on.
    static let tested = [BrokerVersion(3, 10, 8), BrokerVersion(4, 0, 5), BrokerVersion(4, 3, 6)]

    /// Refuses an older broker.
    func check() throws(LockError) {
        guard version < Self.oldest else { return }
        throw LockError(
            .incompatible,
            """
            the broker is RabbitMQ \(version); MQLock needs \(Self.oldest.major).\(Self.oldest.minor) or newer: upgrade the \
            broker
            """)
    }

    /// A broker bug that concerns locks; nil when none is known.
    ///
    /// rabbitmq-server 17317: our own consumers do not stay attached after the timeout, and the broker passes over
    /// attached ones in favor of ours.
    var knownFault: String? {
        guard version >= BrokerVersion(4, 3, 0), version < BrokerVersion(4, 3, 6) else { return nil }
        return """
            a consumer that has hit the consumer timeout and stays attached is never served again by a queue with a single \
            active consumer (rabbitmq-server 17317). MQLock's do not stay, and are served beside those that do; clients of \
            other make that use a lock's queue may wait for ever: upgrade to 4.3.6 or newer
            """
    }

    /// The delivery limit in the declaration of a quorum queue; nil for none.
    ///
    /// -1 switches it off from 4.0, where 20 is the default and the 21st return would drop the token. Before 4.0 the
    /// broker treats it as a limit below every count, and destroys the token at its first return (3.10.8).
    var deliveryLimit: Int64? {
        version >= BrokerVersion(4, 0, 0) ? -1 : nil
    }

    /// Whether a consumer of a quorum queue that is deleted becomes one of a queue of the same name that is declared in
    /// the next milliseconds, without a basic.cancel: the channel takes the deletion for a failover (3.10.8, 30 of 30;
    /// never on 4.0.5 and 4.3.6).
    var movesConsumers: Bool { version < BrokerVersion(4, 0, 0) }

    /// What happens to a delivery that is not acknowledged within the broker's `consumer_timeout`.
    enum Overdue: Equatable, Sendable {
        /// The broker closes the channel (406).
        case closesChannel
        /// The broker sends basic.cancel to clients that announce `consumer_cancel_notify`, as we do.
        case cancelsConsumer
    }

    var overdue: Overdue {
        version < BrokerVersion(4, 3, 0) ? .closesChannel : .cancelsConsumer
    }

    /// Why a hold is over when the broker cancels the consumer of a quorum queue. Before 4.3 there is only one reason.
    var cancelled: LossReason {
        switch overdue {
        case .closesChannel: LossReason(.queueDeleted)
        case .cancelsConsumer:
            LossReason(
                .consumerCancelled,
                """
                its queue was deleted, or the broker's consumer_timeout is shorter than the one configured \
                (consumer_timeout=MILLISECONDS in the broker URI)
                """)
        }
    }

    /// The time between two checks for contenders that could have a lock's token. From 4.3 on the broker keeps for a
    /// minute what was delivered to a node that is cut off. A contender that was cut off before the first check no
    /// longer has the token at the second; one that is cut off later was seen by the first.
    var lookInterval: Duration { version < BrokerVersion(4, 3, 0) ? .seconds(5) : .seconds(65) }

    /// How often the broker has taken the message back before this delivery, by its own count.
    ///
    /// On quorum queues every return counts, whatever the reason: up to 4.2 in `x-delivery-count`, from 4.3 in
    /// `x-acquired-count`, where the other header counts only failures and must be ignored. An absent header means 0:
    /// the first delivery.
    static func returns(of properties: MessageProperties) -> Int64 {
        (properties.headers["x-acquired-count"] ?? properties.headers["x-delivery-count"])?.integer ?? 0
    }
}
