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
            return LockError(
                .incompatible,
                """
                the broker has another kind of queue than the token mutex needs for \(name): \(text); another \
                program uses the name with another mutex or version, or made a queue of that name by hand: let both \
                use the same, or delete the queue when no lock is held
                """)
        default:
            return LockError(.internalError, "the broker failed \(doing) for \(name): \(fault.code) \(text)")
        }
    }
}
