import CRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The exclusive queue mutex's frames: stand in line; with the turn declare the queue, and at the same time read the
/// fencing register and raise it; watch the queue. Delete it and leave the line. No seeds, no ties, no renewal.
final class RawExclusiveQueue: RawLock {
    private let connection: RawConnection
    private let publisher: RawConnection
    private let queue: RawText
    private let line: RawText
    private let fence: RawText
    private var lineChannel: UInt16 = 0
    private var lastChannel: UInt16 = 0

    private static let helper = RawQueueKind(isSingleActive: true)
    private static let lock = RawQueueKind(isClassic: true, isExclusive: true)
    private static let publishChannel: UInt16 = 1
    private static let channels: UInt16 = 1500
    private static let prefetch: UInt16 = 8
    private static let resourceLocked: UInt16 = 405
    private static let (lineTag, fenceTag, queueTag) = (RawText("line"), RawText("register"), RawText("queue"))

    /// The queues that there are beside the lock's own.
    static func helpers(of queue: String) -> [String] { ["\(queue)/line", "\(queue)/fence"] }

    init(uri: String, queue: String) throws {
        connection = try RawConnection(uri: uri)
        publisher = try RawConnection(publisherTo: uri, on: Self.publishChannel)
        let helpers = Self.helpers(of: queue)
        (self.queue, line, fence) = (RawText(queue), RawText(helpers[0]), RawText(helpers[1]))
    }

    func prepare() throws {
        for (queue, number) in [(line, 0), (fence, 1_000_000_000_000_000)] as [(RawText, UInt64)] {
            try publisher.declareQueue(queue, Self.helper, on: Self.publishChannel)
            try publisher.publish(number: number, to: queue, on: Self.publishChannel)
            try publisher.awaitConfirm()
        }
    }

    func acquire() throws {
        lineChannel = nextChannel()
        try connection.together {
            try join(line, tag: Self.lineTag, on: lineChannel)
        }
        while true {
            let (channel, event) = try connection.nextEvent()
            if case .message = event, channel == lineChannel { break }
        }
        // As ours: a dead holder's queue goes a little later than its place in line.
        var pause: UInt32 = 10_000
        while try !claim() {
            usleep(pause)
            pause *= 3
        }
    }

    /// In one write: the broker works a channel's requests off one after the other. Ours waits for the first answer, to be
    /// sure of it.
    func release() throws {
        try connection.together {
            try connection.delete(queue, on: lineChannel)
            try connection.close(lineChannel)
        }
    }

    /// Declares the queue and raises the number; false when the queue is another's.
    private func claim() throws -> Bool {
        let (claimChannel, fenceChannel) = (nextChannel(), nextChannel())
        try connection.together {
            try connection.open(claimChannel, prefetch: Self.prefetch)
            try connection.declare(queue, Self.lock, on: claimChannel)
            try join(fence, tag: Self.fenceTag, on: fenceChannel)
        }
        // Nil until that is known.
        var isOurs: Bool?
        var isWatching = false
        var kept: (delivery: UInt64, number: UInt64)?
        var isRaised = false
        while !isRaised || isOurs == nil || isOurs == true && !isWatching {
            let (channel, event) = try connection.nextEvent()
            switch event {
            case .declared where channel == claimChannel:
                isOurs = true
                try connection.together {
                    try connection.close(claimChannel)
                    try connection.consume(queue, tag: Self.queueTag, noAck: true, on: lineChannel)
                }
            case .consuming where channel == lineChannel: isWatching = true
            case .message(let delivery, let number) where channel == fenceChannel:
                if let kept {
                    isRaised = number == kept.number + 32
                } else {
                    kept = (delivery, number)
                    try publisher.publish(number: number + 32, to: fence, on: Self.publishChannel)
                }
            case .closed(code: Self.resourceLocked) where channel == claimChannel: isOurs = false
            case .closed(let code):
                throw RawConnection.Failure(description: "the broker closed a channel (\(code))")
            default: break
            }
        }
        try publisher.awaitConfirm()
        try connection.together {
            if let kept { try connection.acknowledge(kept.delivery, on: fenceChannel) }
            try connection.close(fenceChannel)
        }
        return isOurs == true
    }

    private func join(_ queue: RawText, tag: RawText, on channel: UInt16) throws {
        try connection.open(channel, prefetch: Self.prefetch)
        try connection.declare(queue, Self.helper, on: channel)
        try connection.consume(queue, tag: tag, on: channel)
    }

    /// The broker has long confirmed the close of the one that is used again.
    private func nextChannel() -> UInt16 {
        lastChannel = lastChannel % Self.channels + 1
        return lastChannel
    }
}
