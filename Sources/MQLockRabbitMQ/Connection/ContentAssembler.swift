/// Assembles the messages of one channel: a method, a header with the body's size, body frames.
///
/// States: idle -> header -> body -> idle; from header straight to idle if the body is empty.
struct ContentAssembler {
    /// What a content method announced.
    enum Announcement: Equatable {
        case delivery(Delivery)
        case gotMessage(Delivery)
        case returned(ReturnedMessage)
    }

    /// Frames in an order that the protocol forbids.
    struct Violation: Error, Equatable {
        let text: String
    }

    /// Larger bodies are skipped: our own are a few hundred bytes, and foreign ones must not cost memory.
    static let bodyLimit = 1 << 20

    private enum State {
        case idle
        case header(Announcement)
        case body(Announcement, MessageProperties, size: Int, received: Int, bytes: [UInt8])
    }

    private var state = State.idle

    var isIdle: Bool {
        if case .idle = state { true } else { false }
    }

    mutating func begin(_ announcement: Announcement) throws(Violation) {
        guard isIdle else { throw Violation(text: "a message began within another") }
        state = .header(announcement)
    }

    mutating func header(
        _ properties: MessageProperties, bodySize: UInt64
    ) throws(Violation) -> Announcement? {
        guard case .header(let announcement) = state else {
            throw Violation(text: "a content header without a message")
        }
        guard let size = Int(exactly: bodySize) else { throw Violation(text: "a body of \(bodySize) bytes") }
        if size == 0 {
            state = .idle
            return announcement.completed(properties, [], isOversize: false)
        }
        state = .body(announcement, properties, size: size, received: 0, bytes: [])
        return nil
    }

    mutating func body(_ fragment: UnsafeRawBufferPointer) throws(Violation) -> Announcement? {
        guard case .body(let announcement, let properties, let size, let received, var bytes) = state else {
            throw Violation(text: "a body frame without a content header")
        }
        // Otherwise the array would be copied at every frame.
        state = .idle
        guard fragment.count <= size - received else {
            throw Violation(text: "a body that is longer than its header says")
        }
        let isOversize = size > Self.bodyLimit
        if !isOversize { bytes.append(contentsOf: fragment) }
        guard received + fragment.count == size else {
            state = .body(announcement, properties, size: size, received: received + fragment.count, bytes: bytes)
            return nil
        }
        return announcement.completed(properties, bytes, isOversize: isOversize)
    }
}

extension ContentAssembler.Announcement {
    fileprivate func completed(_ properties: MessageProperties, _ body: [UInt8], isOversize: Bool) -> Self {
        switch self {
        case .delivery(let delivery): return .delivery(delivery.completed(properties, body, isOversize))
        case .gotMessage(let delivery): return .gotMessage(delivery.completed(properties, body, isOversize))
        case .returned(var message):
            message.properties = properties
            message.body = body
            message.isOversize = isOversize
            return .returned(message)
        }
    }

    func inbound(on channel: UInt16) -> Inbound {
        switch self {
        case .delivery(let delivery): .delivery(channel: channel, delivery)
        case .gotMessage(let delivery): .gotMessage(channel: channel, delivery)
        case .returned(let message): .returned(channel: channel, message)
        }
    }
}

extension Delivery {
    fileprivate func completed(_ properties: MessageProperties, _ body: [UInt8], _ isOversize: Bool) -> Delivery {
        var delivery = self
        delivery.properties = properties
        delivery.body = body
        delivery.isOversize = isOversize
        return delivery
    }
}
