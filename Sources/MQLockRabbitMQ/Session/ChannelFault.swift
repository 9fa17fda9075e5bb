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
            let mine = core.settings.mutex
            return LockError(
                .incompatible,
                """
                this program uses the \(mine.title) for \(name), and \(fault.otherKind(than: mine)) (\(text)); let all \
                programs use the same mutex and version for a name, or delete the queue when no lock is held
                """)
        default:
            return LockError(.internalError, "the broker failed \(doing) for \(name): \(fault.code) \(text)")
        }
    }
}

extension ChannelFault {
    /// What has to be in the lock's queue's place, as far as the broker's words tell.
    fileprivate func otherKind(than mine: RabbitMQLocks.Mutex) -> String {
        guard let other = otherMutex(than: mine) else {
            return "the broker has another kind of queue than that needs, of another version or made by hand"
        }
        return "the broker's queue was made for the \(other.title)"
    }

    private func otherMutex(than mine: RabbitMQLocks.Mutex) -> RabbitMQLocks.Mutex? {
        // The queues of the two durable kinds differ in this flag, and the broker names the first argument that differs.
        let namesFlag = code == Self.preconditionFailed && text.contains(QueueArguments.singleActiveConsumerFlag)
        switch mine {
        case .exclusiveQueue where namesFlag: return text.hasSuffix("is none") ? .token : .singleActiveConsumer
        case .exclusiveQueue: return nil
        // Only the exclusive queue of another connection may not be looked at.
        case _ where code == Self.resourceLocked: return .exclusiveQueue
        case .token where namesFlag: return .singleActiveConsumer
        case .singleActiveConsumer where namesFlag: return .token
        default: return nil
        }
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
