import MQLock

/// The arguments in the declarations of the objects of `mqlock.v1`, by the broker's version.
///
/// Pure functions choose them, because they are part of the protocol: if two programs declare differently, the second
/// is refused with 406. There is one set for each version, and no older one to fall back on: see the article *Broker
/// versions*.
struct QueueArguments: Sendable, Equatable {
    let pairs: [String: FieldValue]

    private static let day: Int64 = 24 * 60 * 60 * 1000

    /// The token mutex's queue.
    static func token(_ behavior: BrokerBehavior) -> QueueArguments { QueueArguments(pairs: common(behavior)) }

    /// A line: the queue of a single active consumer, and the line for an exclusive queue. Because of the flag, queues
    /// of different kinds with the same name refuse each other.
    static func line(_ behavior: BrokerBehavior) -> QueueArguments {
        QueueArguments(pairs: common(behavior).merging([singleActiveConsumerFlag: true]) { $1 })
    }

    /// The queue of marks. A look is its single active consumer; other looks follow one after the other, so each sees
    /// all marks. The longest expiry that the broker accepts is a little less than 50 days.
    static func done(_ behavior: BrokerBehavior) -> QueueArguments {
        QueueArguments(pairs: line(behavior).pairs.merging([expires: .int64(49 * day)]) { $1 })
    }

    /// The write-once register: the first declarer's nonce stays; another nonce is answered with 406.
    static func register(_ nonce: Nonce) -> QueueArguments {
        QueueArguments(pairs: [
            queueType: "quorum", expires: .int64(7 * day),
            // Our exchange, so nobody needs permissions on another one. Nothing is ever dead-lettered.
            deadLetterExchange: .string(ObjectNames.exchange), deadLetterRoutingKey: .string(nonce.description),
        ])
    }

    /// With these arguments no register can be created; if there is one, the refusal names its nonce.
    static var whichRegister: QueueArguments { register(Nonce()).makingNothing }

    /// The exclusive queue that is a lock. The broker compares owners before anything else, so a queue of another kind
    /// refuses its declaration with 405, too.
    static let exclusive = QueueArguments(pairs: [queueType: "classic"])

    /// With these arguments no queue can be created; if there is one, the refusal shows its kind.
    static func whichKind(_ behavior: BrokerBehavior) -> QueueArguments { token(behavior).makingNothing }

    /// The same with an invalid flag: no queue can be created with it.
    private var makingNothing: QueueArguments {
        QueueArguments(pairs: pairs.merging([Self.singleActiveConsumerFlag: "which"]) { $1 })
    }

    /// The exclusive queue that lets one contender at a time mend a lock. It expires by itself if the contender forgets
    /// it.
    static let mend = QueueArguments(pairs: [expires: .int64(60_000)])

    private static func common(_ behavior: BrokerBehavior) -> [String: FieldValue] {
        // Unused queues expire after fifteen days. That is more than twice the register's time, so a token never
        // expires before its register, which would then name a token that no longer exists. It is not 14 days, because
        // queues of drafts of this protocol have that.
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
