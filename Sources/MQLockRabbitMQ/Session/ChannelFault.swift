import Foundation
import MQLock

/// Why the broker closed a channel.
struct ChannelFault: Equatable, Sendable, Error {
    let code: UInt16
    let text: String

    /// Ours, not AMQP's: the broker left a request unanswered, and the channel was closed for it.
    static let unanswered: UInt16 = 1
    static let notFound: UInt16 = 404
    static let preconditionFailed: UInt16 = 406
    static let resourceLocked: UInt16 = 405
    static let accessRefused: UInt16 = 403

    /// Not the broker's: there was no channel to be had.
    static let outOfChannels = ChannelFault(code: 0, text: "all channels are in use")
}

extension NameEntry {
    /// The error for a channel that the broker closed while `doing` something for us.
    func refusal(_ fault: ChannelFault, doing: String) -> LockError {
        let text = fault.text.escapedForDisplay
        switch fault.code {
        case 0:
            return LockError(
                .limitExceeded,
                """
                the broker allows \(core.channelCapacity) channels on a connection, and every lock that is held or waited \
                for needs one; raise channel_max on the broker and in the URI, or use fewer names (StripedLocks)
                """)
        case ChannelFault.accessRefused:
            return LockError(
                .accessRefused,
                """
                the broker refused \(doing) for \(name): \(text); the user needs configure, write and read permission \
                on queues that begin with mqlock.v1, and write permission on amq.default
                """)
        case ChannelFault.preconditionFailed, ChannelFault.resourceLocked:
            let mine = LockKind(core.settings.mutex, core.settings.durability)
            return LockError(
                .incompatible,
                """
                this program uses the \(mine) for \(name), and \(fault.otherKind(than: mine)) (\(text)); \
                \(fault.remedy(for: objects))
                """)
        default:
            return LockError(.internalError, "the broker failed \(doing) for \(name): \(fault.code) \(text)")
        }
    }
}

/// What makes two programs' locks of one name the same: they meet on one queue, and the broker refuses the second of two
/// kinds.
struct LockKind: Hashable, Sendable, CustomStringConvertible {
    let mutex: RabbitMQLocks.Mutex
    let durability: RabbitMQLocks.Durability

    init(_ mutex: RabbitMQLocks.Mutex, _ durability: RabbitMQLocks.Durability) {
        (self.mutex, self.durability) = (mutex, durability)
    }

    /// How messages call it.
    var description: String {
        // Its durability is that of its helpers, the line and the fencing register.
        mutex == .exclusiveQueue ? mutex.title : "\(mutex.title) in \(Self.queues(durability))"
    }

    static func queues(_ durability: RabbitMQLocks.Durability) -> String {
        "\(durability.queueType) queues (durability=\(durability))"
    }
}

/// The broker's words for the first argument in which a queue differs from its declaration:
/// `inequivalent arg 'NAME' for queue 'QUEUE' in vhost 'VHOST': received … but current is …`, the same from 3.8 to 4.3.
struct InequivalentArgument: Equatable, Sendable {
    let name: String
    /// Whether the queue that is there has the argument at all.
    let isSet: Bool

    init?(_ text: String) {
        // The queue's name comes later in the text, and what it says is nobody's business here; so do the words.
        guard let start = text.range(of: "inequivalent arg '")?.upperBound,
            let end = text[start...].firstIndex(of: "'"),
            let current = text.range(of: "but current is ", options: .backwards)?.upperBound
        else { return nil }
        name = String(text[start..<end])
        isSet = !text[current...].hasPrefix("none")
    }
}

extension ChannelFault {
    /// What has to be in the lock's queue's place, as far as the broker's words tell.
    func otherKind(than mine: LockKind) -> String {
        let unknown = "the broker has another kind of queue than that needs, of another version or made by hand"
        // Only the exclusive queue of another connection may not be looked at.
        if code == Self.resourceLocked, mine.mutex != .exclusiveQueue {
            return "the broker's queue was made for the \(RabbitMQLocks.Mutex.exclusiveQueue.title)"
        }
        guard let argument = InequivalentArgument(text) else { return unknown }
        switch argument.name {
        case QueueArguments.singleActiveConsumerFlag:
            let other: RabbitMQLocks.Mutex = argument.isSet ? .singleActiveConsumer : .token
            return "the broker's queue was made for the \(other.title)"
        case QueueArguments.queueType:
            return "the broker's queue is one of \(LockKind.queues(mine.durability == .fast ? .replicated : .fast))"
        case QueueArguments.deadLetterExchange, QueueArguments.deadLetterRoutingKey:
            // Only the token in classic queues has them.
            guard argument.isSet else {
                return "the broker's queue was made for another mutex or for \(LockKind.queues(.replicated))"
            }
            return "the broker's queue was made for the \(LockKind(.token, .fast))"
        case QueueArguments.deliveryLimit:
            return argument.isSet
                ? "the broker's queue was made for RabbitMQ 4.0 or newer, with a delivery limit"
                : "the broker's queue was made under RabbitMQ 3, without the delivery limit that 4.0 and newer need"
        default: return unknown
        }
    }

    func remedy(for objects: ObjectNames) -> String {
        guard InequivalentArgument(text)?.name == QueueArguments.deliveryLimit else {
            return
                "let all programs use the same mutex and version for a name, or delete the queue when no lock is held"
        }
        // From 4.0 on the 21st return of a token would drop it.
        return """
            to migrate, stop the programs that use this lock, delete the queues \(objects.queue.escapedForDisplay) and \
            \(objects.register.escapedForDisplay), and start them again: the lock is made anew with larger tokens
            """
    }
}

extension RabbitMQLocks.Mutex {
    /// How messages call it.
    fileprivate var title: String {
        switch self {
        case .token: "token mutex (token)"
        case .exclusiveQueue: "exclusive queue mutex (exclusive)"
        default: "single active consumer mutex (sac)"
        }
    }
}
