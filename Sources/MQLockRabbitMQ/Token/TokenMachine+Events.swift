import MQLock

/// What goes into the machine, and what comes out.
extension TokenMachine {
    /// A token that was delivered to us and is not acknowledged.
    struct Token: Equatable, Sendable {
        let delivery: UInt64
        /// The consumer it came to; nil for one that was asked for.
        let consumer: UInt64?
        let message: TokenMessage
        let count: Int64
        /// More than a day ahead of the clock, and never returned: nobody was granted it.
        var isAbsurd = false
    }

    enum Pin: Equatable, Sendable { case none, asked, placed }

    enum Wanted: Equatable, Sendable { case acquire, tryAcquire }

    typealias Outcome = Publisher.Outcome

    enum Event: Equatable, Sendable {
        case acquire, tryAcquire, cancel, release
        /// The broker said yes to the one request under way on the name's channel.
        case done
        /// What became of the seed, and with which nonce it was published.
        case seeded(Nonce, Outcome)
        case verified(UInt64)
        /// 406: the register names another nonce.
        case refuted(UInt64)
        /// The register could not be asked.
        case verificationFailed(UInt64, ChannelFault)
        case consumeConfirmed(Tag)
        /// So many consumers stood in line when we came.
        case counted(UInt32)
        /// So many consumers stand on the register.
        case pinned(UInt32)
        case identified(UInt64, Register)
        case delivered(consumer: UInt64?, UInt64, Content)
        case gotNothing
        case cancelledByBroker(Tag)
        case channelClosed(ChannelFault)
        /// There is no channel to open at the moment; there will be one soon.
        case channelUnavailable
        case timer(Timer)
    }

    /// What is known of a name's register.
    enum Register: Equatable, Sendable {
        case says(Nonce)
        case missing
        /// It could not be asked.
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
        /// Another mutex's, published through our exchange: the queue is not what it was.
        case otherKind
        /// Not published through our exchange, or unreadable.
        case foreign
    }

    enum Timer: Hashable, Sendable, CaseIterable { case pause, heal, look }

    /// What the wait of now knows of whoever could have the token.
    struct Wait: Equatable, Sendable {
        /// How many consumers stood before us.
        var behind: UInt32 = 0
        /// What the register has said since all of them had their time. Only that register may go †.
        var suspect: Nonce?
        /// Whether our consumer was the only one on the register at the last look.
        var isAlone = false
    }

    enum Start: Equatable, Sendable {
        case pause
        /// Until nobody can hold the token any more.
        case heal(behind: UInt32)
        /// Until it is looked whether anybody could have the token.
        case look
    }

    /// What the session does, in this order.
    enum Action: Equatable, Sendable {
        /// Opens the name's channel with a prefetch of one.
        case openChannel
        case closeChannel
        case request(Preparation.Request)
        /// Publishes a token with a fresh nonce.
        case seed
        /// Declares the register with this nonce on a channel of its own: a refusal must not close the name's.
        case verify(UInt64, Nonce)
        /// Asks how many consumers stand in line.
        case count
        /// Asks how many consumers stand on the register.
        case countPins
        /// Asks the register what it says, on a channel of its own.
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
        /// The broker keeps the lock from working; for the message of a wait that times out.
        case trouble(String)
    }
}
