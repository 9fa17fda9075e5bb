import MQLock

/// The arguments with which the objects of `mqlock.v1` are declared, by the broker's version.
///
/// Chosen by pure functions, for they are part of the protocol: two programs that declare differently refuse each
/// other with 406. There is one set for each version and no older one to fall back on: see the article *Broker versions*.
struct QueueArguments: Sendable, Equatable {
    let pairs: [String: FieldValue]

    private static let day: Int64 = 24 * 60 * 60 * 1000

    /// The token mutex's queue.
    static func token(_ behavior: BrokerBehavior) -> QueueArguments { QueueArguments(pairs: common(behavior)) }

    /// A line: the queue of a single active consumer, and what waits for an exclusive queue. By the flag the kinds of queue
    /// that have the same name refuse each other.
    static func line(_ behavior: BrokerBehavior) -> QueueArguments {
        QueueArguments(pairs: common(behavior).merging([singleActiveConsumerFlag: true]) { $1 })
    }

    /// What has been done under a lock. Its single active consumer is whoever looks: the others come one after the other, so that
    /// each sees all of it. The longest time that the broker takes is a little less than 50 days.
    static func done(_ behavior: BrokerBehavior) -> QueueArguments {
        QueueArguments(pairs: line(behavior).pairs.merging([expires: .int64(49 * day)]) { $1 })
    }

    /// The write-once register: the first declarer's nonce stands, for another's answers 406.
    static func register(_ nonce: Nonce) -> QueueArguments {
        QueueArguments(pairs: [
            queueType: "quorum", expires: .int64(7 * day),
            // Ours, so that nobody needs permissions on another; nothing is ever dead-lettered.
            deadLetterExchange: .string(ObjectNames.exchange), deadLetterRoutingKey: .string(nonce.description),
        ])
    }

    /// With these no register can be made, and where there is one the refusal says which nonce it has.
    static var whichRegister: QueueArguments { register(Nonce()).makingNothing }

    /// The exclusive queue that is a lock. The broker compares owners before anything else, so a queue of another kind
    /// refuses its declaration with 405, too.
    static let exclusive = QueueArguments(pairs: [queueType: "classic"])

    /// With these no queue can be made, and where there is one the refusal says of which kind.
    static func whichKind(_ behavior: BrokerBehavior) -> QueueArguments { token(behavior).makingNothing }

    /// The same with a flag that is none: no queue can be made by it.
    private var makingNothing: QueueArguments {
        QueueArguments(pairs: pairs.merging([Self.singleActiveConsumerFlag: "which"]) { $1 })
    }

    /// The exclusive queue that lets one contender at a time mend a lock. It frees itself should a mender forget it.
    static let mend = QueueArguments(pairs: [expires: .int64(60_000)])

    private static func common(_ behavior: BrokerBehavior) -> [String: FieldValue] {
        // Unused queues go after fifteen days. More than twice the register's, so that a token never goes before its
        // register, which would name a token that is no more; and not a fortnight, by which queues of drafts of this
        // protocol are distinguished.
        var pairs: [String: FieldValue] = [queueType: "quorum", expires: .int64(15 * day)]
        if let limit = behavior.deliveryLimit { pairs[deliveryLimit] = .int64(limit) }
        return pairs
    }

    static let queueType = "x-queue-type"
    static let expires = "x-expires"
    static let singleActiveConsumerFlag = "x-single-active-consumer"
    static let deliveryLimit = "x-delivery-limit"
    static let deadLetterExchange = "x-dead-letter-exchange"
    static let deadLetterRoutingKey = "x-dead-letter-routing-key"
}
