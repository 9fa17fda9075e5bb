import MQLock

/// What goes into the line, and what comes out.
extension Line {
    enum Event: Equatable, Sendable {
        case acquire, tryAcquire, cancel, release
        /// Whoever is first wants the number raised, to what is published next.
        case raise
        /// The queue is there, with so many messages ready and so many consumers before us.
        case declared(messages: UInt32, consumers: UInt32)
        /// The queue is bound to our exchange.
        case bound
        case consuming
        case delivered(UInt64, redelivered: Bool, Content)
        /// The nonce with which the last `publish` was published; comes before anything else.
        case publishing(Publication, Nonce)
        case outcome(Publication, Nonce, Outcome)
        case cancelledByBroker
        case channelClosed(ChannelFault)
        /// There is no channel to open at the moment; there will be one soon.
        case channelUnavailable
        case timer(Timer)
    }

    enum Content: Equatable, Sendable {
        /// - Parameter after: the fence of the holder that published it, if it was one.
        case token(Nonce, fence: FencingToken, Wear, after: UInt64 = 0)
        /// A token more than a day ahead of the clock, or with a count that cannot be. Nobody was granted one that was never
        /// returned.
        case absurd(number: UInt64, count: Int64)
        case companion(Nonce, count: Int64)
        /// Another mutex's, published through our exchange: the queue is not what it was.
        case otherKind
        /// Not published through our exchange, or unreadable.
        case foreign
    }

    enum Publication: Equatable, Sendable {
        /// A token for a queue that may be without one.
        case seed
        /// A token to take the place of the one that is held.
        case exchange
        case companion
    }

    typealias Outcome = Publisher.Outcome

    enum Timer: Hashable, Sendable, CaseIterable {
        /// Until we go back in line: something on the broker was in motion.
        case restart
        /// Until the queue is declared again, to see whether it is up.
        case declare
        /// Until we suspect that the queue has no token.
        case seed
        /// Until a try that has been delivered nothing takes the lock for taken.
        case answer
        /// Until a try is answered, come what may.
        case limit
        /// Until what has to come before the grant has taken too long.
        case preparing
        /// Until the token is exchanged.
        case exchange
        /// Until the token has been held for as long as it may.
        case hold
        /// Until the companion is put back.
        case companion
        /// Until what the queue has proven is over.
        case proof
        /// Until we publish again what did not arrive; before a grant also until what has arrived should be here.
        case retry
    }

    /// What is to be done, in this order.
    enum Action: Equatable, Sendable {
        case openChannel
        /// Declares our exchange and the queue, and binds it, in one write.
        case declare
        case consume
        /// By a raw channel.close †: the consumer and its deliveries go back in one step of the queue.
        case closeChannel
        /// Publishes through our exchange, with a fresh nonce, and reports that as `publishing` at once.
        case publish(Publication)
        /// Declares exchange and binding anew, on a channel of its own.
        case repair
        case acknowledge(UInt64)
        case putBack(UInt64)
        /// Starts a timer, anew if it runs. Those that run end with the channel, but for `limit`, which is the contender's.
        case start(Timer)
        case stop(Timer)
        /// First in line, with this fence.
        case serve(FencingToken)
        /// The companion came to us: the queue has served us since it was sent.
        case proven
        case contended
        /// The number is raised: later grants are above this, whatever happens.
        case raised(FencingToken)
        /// A try cannot be answered: what it needs of the broker does not come.
        case unable
        case refuse(ChannelFault, doing: String)
        case refuseAbsurd(number: UInt64, count: Int64)
        /// The place is lost, and with it whatever rests on it.
        case lose(LossReason)
        /// A message that is none of ours was dropped.
        case report(String)
        /// The broker keeps the lock from working; for the message of a wait that times out.
        case trouble(String)
    }
}
