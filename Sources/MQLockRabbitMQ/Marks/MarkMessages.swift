import MQLock

/// What has been done under a lock, as it stands in the queue of its marks.
struct MarkMessage: LockMessage {
    static let type = "mqlock.v1.done"

    let mark: DoneMark
    let nonce: Nonce

    var payload: [UInt8] { mark.text(nonce).payload }

    init(_ mark: DoneMark, _ nonce: Nonce = Nonce()) { (self.mark, self.nonce) = (mark, nonce) }

    /// Nil for whatever does not count: who may publish through our exchange is decided by the broker.
    init?(_ delivery: Delivery) {
        guard delivery.exchange == ObjectNames.exchange, !delivery.isOversize,
            let text = ControlText(payload: delivery.body), let nonce = Nonce(text.question), let mark = DoneMark(text)
        else { return nil }
        self.init(mark, nonce)
    }
}

/// `mqlock.v1 look 0 NONCE`: what somebody who looks puts behind the marks, to know that there are no more before it.
struct LookMessage: LockMessage, Hashable {
    static let type = "mqlock.v1.look"
    private static let word = "look"

    let nonce: Nonce

    var payload: [UInt8] { MessageText(Self.word, 0, nonce).payload }

    init(_ nonce: Nonce = Nonce()) { self.nonce = nonce }

    /// Nil for whatever is none, or does not count.
    init?(_ delivery: Delivery) {
        guard let text = MessageText(delivery), text.word == Self.word, text.number == 0, text.after == nil else {
            return nil
        }
        nonce = text.nonce
    }
}

/// What is asked of the marks of a name.
enum MarkRequest: Sendable {
    /// - Parameter creating: whether to make the queue when there is none; else there are no marks.
    case read(creating: Bool)
    case write(DoneMark)

    var isRead: Bool { if case .read = self { true } else { false } }
    var isCreating: Bool { if case .read(false) = self { false } else { true } }
}
