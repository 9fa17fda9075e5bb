import MQLock

extension TokenName {
    var outOfChannels: String { "all channels are in use" }

    /// The error for a channel that the broker closed while `doing` something for us.
    func refusal(_ fault: TokenMachine.ChannelFault, doing: String) -> LockError {
        let text = fault.text.escapedForDisplay
        switch fault.code {
        case 0:
            return LockError(
                .limitExceeded,
                """
                the broker allows \(names.core.channelCapacity) channels on a connection, and every lock that is held or waited \
                for needs one; raise channel_max on the broker and in the URI, or use fewer names (StripedLocks)
                """)
        case TokenMachine.ChannelFault.accessRefused:
            return LockError(
                .accessRefused,
                """
                the broker refused \(doing) for \(name): \(text); the user needs configure, write and read permission \
                on queues that begin with mqlock.v1, and write permission on amq.default
                """)
        case TokenMachine.ChannelFault.preconditionFailed, TokenMachine.ChannelFault.resourceLocked:
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

extension TokenMachine.Tag {
    /// The consumer tag on the wire.
    var text: String {
        switch self {
        case .pin: "register"
        case .token(let number): "token-\(number)"
        }
    }

    init?(_ text: String) {
        if text == "register" {
            self = .pin
        } else if text.hasPrefix("token-"), let number = UInt64(text.dropFirst(6)) {
            self = .token(number)
        } else {
            return nil
        }
    }
}

/// One question to the register, on a channel of its own because a refusal closes it.
final class VerificationCall: ChannelHandler {
    let number: UInt64
    var channel: UInt16 = 0
    private weak var name: TokenName?

    init(number: UInt64, for name: TokenName) {
        self.number = number
        self.name = name
    }

    func received(_ inbound: Inbound) {
        switch inbound {
        case .queueDeclareOK: name?.verificationEnded(self, .verified(number), reusable: true)
        case .channelClosed(_, TokenMachine.ChannelFault.preconditionFailed, _, _, _):
            name?.verificationEnded(self, .refuted(number), reusable: false)
        case .channelClosed(_, let code, let text, _, _):
            name?.verificationEnded(
                self, .verificationFailed(number, .init(code: code, text: text)), reusable: false)
        default: break
        }
    }
}
