import MQLock

/// What seeing uses on the broker (protocol `mqlock.v1`); the queues are exclusive to their connection.
enum ControlNames {
    /// Direct, durable; the routing key is the lock's name, encoded as in queue names.
    static let exchange = "mqlock.v1.control"

    /// Where the contenders of a name are asked.
    static func key(_ name: LockName) -> String { ObjectNames.encode(name) }

    /// Where those who begin to listen say so, to observers only. No name is encoded like that: of a `%` two digits
    /// follow there.
    static func helloKey(_ name: LockName) -> String { "%hello/\(key(name))" }

    /// Where all sessions that listen for any name are asked which. No name's key either.
    static let listKey = "%list"

    /// Where the contenders of one session are asked.
    static func controlQueue(_ session: Nonce) -> String { "\(exchange)/\(session)" }

    /// Where one asker is answered: its queue, which is bound to the exchange with its own name as the key.
    static func replyQueue(_ asker: Nonce) -> String { "\(replyPrefix)\(asker)" }

    /// Answers go to queues of this form only: nobody can have us write into another's queue.
    static func isReplyQueue(_ name: String) -> Bool {
        name.hasPrefix(replyPrefix) && ControlText.isNumber(name.dropFirst(replyPrefix.count))
    }

    private static let replyPrefix = "mqlock.v1.reply/"

    /// A queue that nobody reads is bounded; its oldest messages go first.
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
    /// Who we are to the broker, for messages that it validates; nil when the certificate says it (SASL EXTERNAL), whose
    /// name we do not know.
    var provenUser: String? { mechanism == .plain ? user : nil }
}

/// A request as it came to a session.
struct ControlQuestion: Sendable {
    /// The name whose contenders are asked; nil for all names of the session.
    let name: LockName?
    let question: String
    let request: ControlRequest
    /// As the broker has validated it; nil when the asker has not said.
    let user: String?
    let replyTo: String?

    /// Nil for what is not a request of this version.
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
