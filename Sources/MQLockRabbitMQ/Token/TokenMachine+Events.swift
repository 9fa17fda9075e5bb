import MQLock

/// The machine's events and actions.
extension TokenMachine {
    /// A token that was delivered to us and is not acknowledged.
    struct Token: Equatable, Sendable {
        let delivery: UInt64
        /// The consumer that got it; nil for a `basic.get`.
        let consumer: UInt64?
        let message: TokenMessage
        let count: Int64
        /// More than a day ahead of the clock and never returned: nobody was granted the lock by it.
        var isAbsurd = false
    }

    enum Pin: Equatable, Sendable { case none, asked, placed }

    enum Wanted: Equatable, Sendable { case acquire, tryAcquire }

    typealias Outcome = Publisher.Outcome

    enum Event: Equatable, Sendable {
        case acquire, tryAcquire, cancel, release
        /// The broker accepted the current request on the name's channel.
        case done
        /// The outcome of the seed, and its nonce.
        case seeded(Nonce, Outcome)
        case verified(UInt64)
        /// 406: the register names another nonce.
        case refuted(UInt64)
        /// The register could not be asked.
        case verificationFailed(UInt64, ChannelFault)
        case consumeConfirmed(Tag)
        /// This many consumers were in line when we joined.
        case counted(UInt32)
        /// The register has this many consumers.
        case pinned(UInt32)
        case identified(UInt64, Register)
        case delivered(consumer: UInt64?, UInt64, Content)
        case gotNothing
        case cancelledByBroker(Tag)
        case channelClosed(ChannelFault)
        /// No channel can be opened at the moment; one will be free soon.
        case channelUnavailable
        case timer(Timer)
    }

    /// What is known about a name's register.
    enum Register: Equatable, Sendable {
        case says(Nonce)
        case missing
        /// The register could not be asked.
        case unknown
    }

    /// A consumer of ours on the name's channel.
    enum Tag: Hashable, Sendable {
        case token(UInt64)
        case pin

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

    enum Content: Equatable, Sendable {
        case token(TokenMessage, count: Int64, isAbsurd: Bool = false)
        /// A message of another mutex, published through our exchange: the queue may have been replaced.
        case otherKind
        /// A message that was not published through our exchange, or is unreadable.
        case foreign
    }

    enum Timer: Hashable, Sendable, CaseIterable { case pause, heal, look }

    /// What the current wait knows about contenders that could have the token.
    struct Wait: Equatable, Sendable {
        /// How many consumers were ahead of us.
        var behind: UInt32 = 0
        /// The register's nonce since the time of all of them was over. Only that register may be deleted †.
        var suspect: Nonce?
        /// Whether our consumer was the only one on the register at the last check.
        var isAlone = false
    }

    enum Start: Equatable, Sendable {
        case pause
        /// Until nobody can hold the token any longer.
        case heal(behind: UInt32)
        /// Until the next check whether any contender could have the token.
        case look
    }

    /// What the session has to do, in this order.
    enum Action: Equatable, Sendable {
        /// Opens the name's channel with a prefetch of one.
        case openChannel
        case closeChannel
        case request(Preparation.Request)
        /// Publishes a token with a fresh nonce.
        case seed
        /// Declares the register with this nonce on a separate channel: a refusal must not close the name's channel.
        case verify(UInt64, Nonce)
        /// Asks how many consumers are in line.
        case count
        /// Asks how many consumers the register has.
        case countPins
        /// Asks for the register's nonce, on a separate channel.
        case identify(UInt64)
        case consume(UInt64)
        case get
        case placePin
        case cancel(UInt64)
        case acknowledge(UInt64)
        case putBack(UInt64)
        case start(Start)
        case stop(Timer)
        case grant(Token)
        case contended
        case refuse(ChannelFault, doing: String)
        case lose(LossReason)
        /// A message that is no valid token was dropped.
        case report(String)
        /// A problem at the broker keeps the lock from working; for the message of a wait that times out.
        case trouble(String)
    }
}
