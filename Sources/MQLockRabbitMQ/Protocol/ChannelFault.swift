import MQLock

/// Why the broker closed a channel.
struct ChannelFault: Equatable, Sendable, Error {
    let code: UInt16
    let text: String

    /// Our own code, not AMQP's: the broker left a request unanswered, so we closed the channel.
    static let unanswered: UInt16 = 1
    static let notFound: UInt16 = 404
    static let preconditionFailed: UInt16 = 406
    static let resourceLocked: UInt16 = 405
    static let accessRefused: UInt16 = 403

    /// Not from the broker: no channel was available.
    static let outOfChannels = ChannelFault(code: 0, text: "all channels are in use")
}

extension ChannelFault {
    /// Whether a limit of the broker is in the way.
    var isLimit: Bool { BrokerWords(text).tellOfLimit }

    /// The error for a refusal by the broker, whatever the mutex.
    /// - Parameters:
    ///   - doing: what we were doing, as in "declaring the lock's queue".
    ///   - subject: what for.
    ///   - capacity: how many channels the connection can have.
    func refusal(of doing: String, for subject: String, capacity: Int) -> LockError {
        let text = text.escapedForDisplay
        switch code {
        case Self.outOfChannels.code:
            return LockError(
                .limitExceeded,
                """
                the broker allows \(capacity) channels on a connection, and every lock that is held or waited for needs \
                one; raise channel_max on the broker and in the URI, or use fewer names (StripedLocks)
                """)
        case _ where isLimit:
            return LockError(
                .limitExceeded,
                """
                the broker refused \(doing) for \(subject), because a limit of its is reached: \(text); raise it there \
                (rabbitmqctl set_vhost_limits), or use fewer names (StripedLocks)
                """)
        case Self.accessRefused:
            return LockError(
                .accessRefused,
                """
                the broker refused \(doing) for \(subject): \(text); the user needs configure, write and read permission \
                on the exchange \(ObjectNames.exchange) and on queues that begin with \(ObjectNames.exchange), as in: \
                rabbitmqctl set_permissions -p VHOST USER '^mqlock\\.v1' '^mqlock\\.v1' '^mqlock\\.v1'
                """)
        case _ where InequivalentArgument(self.text)?.isOfExchange == true:
            return LockError(
                .incompatible,
                """
                somebody else has made the exchange \(ObjectNames.exchange), and not as locks need it: direct and durable \
                (\(text)); let nobody declare it otherwise, and delete it when no lock is held: it is made anew
                """)
        // Only the broker's text says what it means: a value that it does not accept, a message that is too large, a
        // policy.
        case Self.preconditionFailed:
            return LockError(.incompatible, "the broker refused \(doing) for \(subject): \(text)")
        case Self.unanswered:
            return LockError(.unreachable, "the broker left a request unanswered, \(doing) for \(subject)")
        default:
            return LockError(.internalError, "the broker failed \(doing) for \(subject): \(code) \(text)")
        }
    }
}

extension BrokerLock {
    /// The error for a channel that the broker closed during `doing`.
    func refusal(_ fault: ChannelFault, doing: String) -> LockError {
        guard fault.isOtherKind else {
            let refusal = fault.refusal(of: doing, for: "\(name)", capacity: session?.link.capacity ?? 0)
            guard fault == .outOfChannels else { return refusal }
            return LockError(refusal.code, refusal.message, underlying: fault)
        }
        return LockError(
            .incompatible,
            """
            this program uses the \(settings.mutex.title) for \(name), and \(fault.otherKind(than: settings.mutex)) \
            (\(fault.text.escapedForDisplay)); \(fault.remedy(for: objects, of: settings.mutex, settings.endpoint.vhost))
            """)
    }
}

/// The broker's text about the first argument in which a queue or exchange differs from its declaration: `inequivalent
/// arg 'NAME' for queue 'QUEUE' in vhost 'VHOST': received … but current is …`, the same from 3.8 to 4.3.
struct InequivalentArgument: Equatable, Sendable {
    let name: String
    let isOfExchange: Bool
    /// Whether the existing queue has the argument at all.
    let isSet: Bool
    /// The argument's value there, if the broker quotes it.
    let current: String?

    init?(_ text: String) {
        // The queue's name comes later in the text and must not be interpreted; the same goes for the values.
        guard let start = text.firstRange(of: "inequivalent arg '")?.upperBound,
            let end = text[start...].firstIndex(of: "'"),
            let current = text.ranges(of: "but current is ").last?.upperBound
        else { return nil }
        name = String(text[start..<end])
        isOfExchange = text[end...].hasPrefix("' for exchange ")
        let words = text[current...]
        isSet = !words.hasPrefix("none")
        let quoted = words.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
        self.current = quoted.count == 3 ? String(quoted[1]) : nil
    }
}

extension ChannelFault {
    /// Whether the queue exists with other arguments. Limits of the broker have the same code.
    var isOtherKind: Bool {
        code == Self.resourceLocked
            || code == Self.preconditionFailed && InequivalentArgument(text)?.isOfExchange == false
    }

    /// Whether a declaration with impossible arguments found no queue.
    var saysInvalid: Bool { text.contains("invalid arg") }

    /// What must exist in place of the lock's queue, as far as the broker's text shows.
    func otherKind(than mine: RabbitMQLocks.Mutex) -> String {
        let unknown = "the broker has another kind of queue than that needs, of another version or made by hand"
        // Only another connection's exclusive queue refuses a passive declaration.
        if code == Self.resourceLocked, mine != .exclusiveQueue {
            return "the broker's queue was made for the \(RabbitMQLocks.Mutex.exclusiveQueue.title)"
        }
        guard let argument = InequivalentArgument(text) else { return unknown }
        switch argument.name {
        case QueueArguments.singleActiveConsumerFlag:
            let other: RabbitMQLocks.Mutex = argument.isSet ? .singleActiveConsumer : .token
            return "the broker's queue was made for the \(other.title)"
        case QueueArguments.deliveryLimit:
            return argument.isSet
                ? "the broker's queue was made for RabbitMQ 4.0 or newer, with a delivery limit"
                : "the broker's queue was made under RabbitMQ 3, without the delivery limit that 4.0 and newer need"
        default: return unknown
        }
    }

    func remedy(for objects: ObjectNames, of mutex: RabbitMQLocks.Mutex, _ vhost: String) -> String {
        guard isOfOtherMajorVersion else {
            return
                "let all programs use the same mutex and version for a name, or delete the queue when no lock is held"
        }
        let queues =
            switch mutex {
            case .token: [objects.queue, objects.register]
            case .exclusiveQueue: [objects.line]
            default: [objects.queue]
            }
        return """
            to migrate, stop the programs that use this lock, delete its \(queues.count == 1 ? "queue" : "queues") with \
            `\(LockObjects.deletion(of: queues, vhost: vhost))`, and start them again: the lock is made anew with larger tokens
            """
    }

    /// Whether the existing queue was created under a version with other arguments. From 4.0 on, without the delivery
    /// limit, the 21st return of a token would drop it.
    var isOfOtherMajorVersion: Bool { InequivalentArgument(text)?.name == QueueArguments.deliveryLimit }
}

extension RabbitMQLocks.Mutex {
    /// The term used in messages.
    var title: String {
        switch self {
        case .token: "token mutex (token)"
        case .exclusiveQueue: "exclusive queue mutex (exclusive)"
        default: "single active consumer mutex (sac)"
        }
    }
}
