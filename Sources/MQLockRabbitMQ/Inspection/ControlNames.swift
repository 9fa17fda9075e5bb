import MQLock

/// The broker objects for seeing who holds a lock (protocol `mqlock.v1`); the queues are exclusive to their connection.
enum ControlNames {
    /// Direct, durable; the routing key is the lock's name, encoded as in queue names.
    static let exchange = "mqlock.v1.control"

    /// The key for questions to the contenders for a name.
    static func key(_ name: LockName) -> String { ObjectNames.encode(name) }

    /// The key for hello messages of sessions that start to listen; only observers bind it. No name is encoded like
    /// that: in a name, two digits follow a `%`.
    static func helloKey(_ name: LockName) -> String { "%hello/\(key(name))" }

    /// The key for questions to all sessions that listen for any name. No name has this key either.
    static let listKey = "%list"

    /// The queue for questions to the contenders of one session.
    static func controlQueue(_ session: Nonce) -> String { "\(exchange)/\(session)" }

    /// The queue for answers to one asker; it is bound to the exchange with its own name as the key.
    static func replyQueue(_ asker: Nonce) -> String { "\(replyPrefix)\(asker)" }

    /// Answers go only to queues of this form, so nobody can make us write into other queues.
    static func isReplyQueue(_ name: String) -> Bool {
        name.hasPrefix(replyPrefix) && ControlText.isNumber(name.dropFirst(replyPrefix.count))
    }

    private static let replyPrefix = "mqlock.v1.reply/"

    /// Limits a queue that nobody reads; its oldest messages are dropped first.
    static let queueArguments: [String: FieldValue] = ["x-max-length": 1000, "x-message-ttl": 10_000]

    /// The type property of all messages.
    static let messageType = "mqlock.v1.control"

    static func properties(user: String?) -> MessageProperties {
        var properties = MessageProperties()
        properties.contentType = "text/plain"
        properties.deliveryMode = 1
        properties.type = messageType
        properties.appID = "mqlock"
        properties.userID = user
        return properties
    }
}

extension Endpoint {
    /// Our user name, which the broker validates in messages; nil with SASL EXTERNAL, where it comes from the
    /// certificate and we do not know it.
    var provenUser: String? { mechanism == .plain ? user : nil }
}

/// A request as received by a session.
struct ControlQuestion: Sendable {
    /// The name that the question is about; nil for all names of the session.
    let name: LockName?
    let question: String
    let request: ControlRequest
    /// As validated by the broker; nil when the asker did not name one.
    let user: String?
    let replyTo: String?

    /// Nil for anything that is not a request of this version.
    init?(_ delivery: Delivery) {
        guard !delivery.isOversize, delivery.exchange == ControlNames.exchange,
            let text = ControlText(payload: delivery.body), let request = ControlRequest(text)
        else { return nil }
        if case .list = request {
            guard delivery.routingKey == ControlNames.listKey else { return nil }
            name = nil
        } else {
            guard let text = String(percentEncoded: delivery.routingKey), let lock = try? LockName(text) else {
                return nil
            }
            name = lock
        }
        self.request = request
        question = text.question
        user = delivery.properties.userID
        replyTo = delivery.properties.replyTo.flatMap { ControlNames.isReplyQueue($0) ? $0 : nil }
    }
}
