/// What a channel's owner is told: whatever the broker sends on it.
protocol ChannelHandler: AnyObject {
    func received(_ inbound: Inbound)
}

/// The channels of one connection: who owns which number, and which numbers are free. A number that we closed is free
/// only when the broker has said so.
struct ChannelTable {
    private var handlers: [UInt16: any ChannelHandler] = [:]
    private var closing: Set<UInt16> = []
    private var free: [UInt16] = []
    private var next: UInt16
    private let last: UInt16

    /// - Parameter first: the lowest number to give out; those below belong to the session.
    init(first: UInt16, last: UInt16) {
        next = first
        self.last = last
    }

    var isClosing: Bool { !closing.isEmpty }

    /// How many can be open at once.
    var capacity: Int { Int(last) }

    mutating func allocate(for handler: any ChannelHandler) -> UInt16? {
        let number: UInt16
        if let reused = free.popLast() {
            number = reused
        } else {
            guard next <= last else { return nil }
            number = next
            next += 1
        }
        handlers[number] = handler
        return number
    }

    func handler(of channel: UInt16) -> (any ChannelHandler)? { handlers[channel] }

    mutating func assign(_ channel: UInt16, to handler: any ChannelHandler) { handlers[channel] = handler }

    /// We sent channel.close.
    mutating func closed(_ channel: UInt16) {
        handlers[channel] = nil
        closing.insert(channel)
    }

    /// The broker confirmed a close of ours.
    mutating func closeConfirmed(_ channel: UInt16) {
        if closing.remove(channel) != nil { free.append(channel) }
    }

    /// The broker closed the channel. False when we had closed it too: both closes crossed, and ours will be answered.
    mutating func closedByBroker(_ channel: UInt16) -> (any ChannelHandler)? {
        guard let handler = handlers.removeValue(forKey: channel) else { return nil }
        free.append(channel)
        return handler
    }

    mutating func removeAll() { handlers = [:] }
}
