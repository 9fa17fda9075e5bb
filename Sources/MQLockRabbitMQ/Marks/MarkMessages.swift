import MQLock

/// What has been done under a lock, as stored in the queue of its marks.
struct MarkMessage: LockMessage {
    static let type = "mqlock.v1.done"

    let mark: DoneMark
    let nonce: Nonce

    var payload: [UInt8] { mark.text(nonce).payload }

    init(_ mark: DoneMark, _ nonce: Nonce = Nonce()) { (self.mark, self.nonce) = (mark, nonce) }

    /// Nil for a message that does not count. The broker decides who may publish through our exchange.
    init?(_ delivery: Delivery) {
        guard delivery.exchange == ObjectNames.exchange, !delivery.isOversize,
            let text = ControlText(payload: delivery.body), let nonce = Nonce(text.question), let mark = DoneMark(text)
        else { return nil }
        self.init(mark, nonce)
    }
}

/// `mqlock.v1 look 0 NONCE`: a look. Its sender puts it behind the marks, to know when it has seen all marks before it.
struct LookMessage: LockMessage, Hashable {
    static let type = "mqlock.v1.look"
    private static let word = "look"

    let nonce: Nonce

    var payload: [UInt8] { MessageText(Self.word, 0, nonce).payload }

    init(_ nonce: Nonce = Nonce()) { self.nonce = nonce }

    /// Nil for a message that is no look, or does not count.
    init?(_ delivery: Delivery) {
        guard let text = MessageText(delivery), text.word == Self.word, text.number == 0, text.after == nil else {
            return nil
        }
        nonce = text.nonce
    }
}

/// A request for the marks of a name.
enum MarkRequest: Sendable {
    /// - Parameter creating: whether to create the queue when there is none; otherwise there are no marks.
    case read(creating: Bool)
    case write(DoneMark)

    var isRead: Bool { if case .read = self { true } else { false } }
    var isCreating: Bool { if case .read(false) = self { false } else { true } }
}
