/// The arguments with which the objects of `mqlock.v1` are declared, by the broker's version and the lock's durability.
///
/// Chosen by pure functions, for they are part of the protocol: two programs that declare differently refuse each
/// other with 406. There is one set for each version and durability and no older one to fall back on: see the article
/// *Broker versions*.
struct QueueArguments: Sendable, Equatable {
    let pairs: [String: FieldValue]

    private static let day: Int64 = 24 * 60 * 60 * 1000

    /// The token's queue.
    ///
    /// A classic queue is its own dead-letter queue: a rejected token comes back with one more in its count.
    static func token(_ objects: ObjectNames, _ behaviour: BrokerBehaviour) -> QueueArguments {
        var pairs = common(behaviour)
        if behaviour.durability == .fast {
            pairs[deadLetterExchange] = .string("")
            pairs[deadLetterRoutingKey] = .string(objects.queue)
        }
        return QueueArguments(pairs: pairs)
    }

    /// The single active consumer's queue. By the flag the two kinds of queue, which have the same name, refuse each other.
    static func singleActiveConsumer(_ behaviour: BrokerBehaviour) -> QueueArguments {
        QueueArguments(pairs: common(behaviour).merging([singleActiveConsumerFlag: true]) { $1 })
    }

    /// The write-once register: the first declarer's nonce stands, for another's answers 406.
    static func register(_ nonce: Nonce, _ durability: RabbitMQLocks.Durability) -> QueueArguments {
        QueueArguments(pairs: [
            queueType: .string(durability.queueType), "x-expires": .int64(7 * day),
            deadLetterExchange: .string(""), deadLetterRoutingKey: .string(nonce.description),
        ])
    }

    /// The exclusive queue that is a lock. The broker compares owners before anything else, so a queue of another kind
    /// refuses its declaration with 405, too.
    static let exclusive = QueueArguments(pairs: ["x-queue-type": .string("classic")])

    /// The line and the register of an exclusive queue: one message each, for the first in the broker's line.
    static func helper(_ behaviour: BrokerBehaviour) -> QueueArguments { singleActiveConsumer(behaviour) }

    /// With these no queue can be made, and where there is one the refusal says of which kind.
    static func whichKind(_ behaviour: BrokerBehaviour) -> QueueArguments {
        QueueArguments(pairs: common(behaviour).merging([singleActiveConsumerFlag: "which"]) { $1 })
    }

    /// The exclusive queue that lets one contender at a time mend a lock. It frees itself should a mender forget it.
    static let mend = QueueArguments(pairs: ["x-expires": .int64(60_000)])

    private static func common(_ behaviour: BrokerBehaviour) -> [String: FieldValue] {
        // Unused queues go after a fortnight: twice the register's, so that a token never goes before its register,
        // which would name a token that is no more.
        var pairs: [String: FieldValue] = [
            queueType: .string(behaviour.durability.queueType), "x-expires": .int64(14 * day),
        ]
        if let limit = behaviour.deliveryLimit { pairs[deliveryLimit] = .int64(limit) }
        return pairs
    }

    static let queueType = "x-queue-type"
    static let singleActiveConsumerFlag = "x-single-active-consumer"
    static let deliveryLimit = "x-delivery-limit"
    static let deadLetterExchange = "x-dead-letter-exchange"
    static let deadLetterRoutingKey = "x-dead-letter-routing-key"
}

extension RabbitMQLocks.Durability {
    /// What such a queue is called on the wire. Always said: the default is the virtual host's to choose.
    var queueType: String { self == .fast ? "classic" : "quorum" }
}
