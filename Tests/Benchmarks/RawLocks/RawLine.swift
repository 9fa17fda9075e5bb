import CMQLockRabbitMQ

/// A broker's line of contenders, and the token that the first of them is delivered: what the single active consumer mutex
/// is, and the exclusive queue mutex's way to its queue. No seeding, no proof of life, no renewal, no surplus tokens.
final class RawLine {
    let connection: RawConnection
    private let queue: RawText
    /// Opened ahead, with the prefetch set; the broker may be yet to answer.
    private var ready: [UInt16] = []
    private var channel: UInt16 = 0
    private var largest: UInt64 = 0

    private static let kind = RawQueueKind(isSingleActive: true)
    private static let tag = RawText("line")
    private static let prefetch: UInt16 = 8
    /// As many as MQLock keeps.
    private static let pool = 8

    init(uri: String, queue: String) throws {
        connection = try RawConnection(uri: uri)
        self.queue = RawText(queue)
        try refill()
    }

    func make() throws { try connection.make(queue, Self.kind) }

    /// Stands in line, and comes back with the token.
    func acquire() throws {
        channel = ready.removeFirst()
        try connection.consume(queue, tag: Self.tag, on: channel)
        // There is nothing to do until the token comes, and this goes on while the broker thinks.
        try refill()
        while true {
            let (channel, event) = try connection.nextEvent()
            guard channel == self.channel else { continue }
            switch event {
            case .message(let message):
                let fence = message.number + 32 * message.returns
                guard fence > largest else {
                    throw RawConnection.Failure(description: "the fence \(fence) came after \(largest)")
                }
                largest = fence
                return
            case .closed(let code): throw RawConnection.Failure(description: "the broker closed a channel (\(code))")
            default: break
            }
        }
    }

    /// Leaves the line, and the token with it: in one step, so the next in line is not delivered it twice.
    func release() throws { try connection.close(channel) }

    private func refill() throws {
        try connection.together {
            while ready.count < Self.pool {
                let channel = try connection.openChannel()
                try connection.limit(channel, to: Self.prefetch)
                ready.append(channel)
            }
        }
    }
}

/// The single active consumer mutex: who is first in line holds it.
struct RawSingleActiveConsumer: RawLock {
    private let line: RawLine

    init(uri: String, queue: String) throws { line = try RawLine(uri: uri, queue: queue) }

    func make() throws { try line.make() }
    func acquire() throws { try line.acquire() }
    func release() throws { try line.release() }
}
