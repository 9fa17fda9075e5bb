import CRabbitMQ

/// The single active consumer mutex's frames: join in one write, publish the next number over a second connection, wait
/// for the confirm and for its delivery, acknowledge the old token; close the channel. No seeds, no ties, no renewal.
final class RawSingleActiveConsumer: RawLock {
    private let connection: RawConnection
    private let publisher: RawConnection
    private let queue: RawText
    private let kind: RawQueueKind
    private var channel: UInt16 = 0

    private static let publishChannel: UInt16 = 1
    private static let lastChannel: UInt16 = 1000
    private static let prefetch: UInt16 = 8
    private static let tag = RawText("sac")

    init(uri: String, queue: String, isClassic: Bool = false) throws {
        connection = try RawConnection(uri: uri)
        publisher = try RawConnection(publisherTo: uri, on: Self.publishChannel)
        self.queue = RawText(queue)
        kind = RawQueueKind(isClassic: isClassic, isSingleActive: true)
    }

    func prepare() throws {
        try publisher.declareQueue(queue, kind, on: Self.publishChannel)
        try publisher.publish(number: 1_000_000_000_000_000, to: queue, on: Self.publishChannel)
        try publisher.awaitConfirm()
    }

    func acquire() throws {
        // The broker has long confirmed the close of the one that is used again.
        channel = channel % Self.lastChannel + 1
        try connection.together {
            try connection.open(channel, prefetch: Self.prefetch)
            try connection.declare(queue, kind, on: channel)
            try connection.consume(queue, tag: Self.tag, on: channel)
        }
        let kept = try nextMessage()
        try publisher.publish(number: kept.number + 32, to: queue, on: Self.publishChannel)
        while true {
            let message = try nextMessage()
            if message.number == kept.number + 32 { break }
            try connection.acknowledge(message.delivery, on: channel)
        }
        try publisher.awaitConfirm()
        try connection.acknowledge(kept.delivery, on: channel)
    }

    func release() throws { try connection.close(channel) }

    private func nextMessage() throws -> (delivery: UInt64, number: UInt64) {
        while true {
            let (channel, event) = try connection.nextEvent()
            guard channel == self.channel else { continue }
            switch event {
            case .message(let delivery, let number): return (delivery, number)
            case .closed(let code): throw RawConnection.Failure(description: "the broker closed a channel (\(code))")
            default: break
            }
        }
    }
}

extension RawConnection {
    /// A connection that publishes and waits for confirms.
    convenience init(publisherTo uri: String, on channel: UInt16) throws {
        try self.init(uri: uri)
        amqp_channel_open(state, channel)
        amqp_confirm_select(state, channel)
        try check(amqp_get_rpc_reply(state), "channel")
    }
}
