import MQLock

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
    private weak var driver: TokenDriver?

    init(number: UInt64, for driver: TokenDriver) {
        self.number = number
        self.driver = driver
    }

    func received(_ inbound: Inbound) {
        switch inbound {
        case .queueDeclareOK: driver?.verificationEnded(self, .verified(number), reusable: true)
        case .channelClosed(_, ChannelFault.preconditionFailed, _, _, _):
            driver?.verificationEnded(self, .refuted(number), reusable: false)
        case .channelClosed(_, let code, let text, _, _):
            driver?.verificationEnded(
                self, .verificationFailed(number, .init(code: code, text: text)), reusable: false)
        default: break
        }
    }
}
