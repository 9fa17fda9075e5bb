import MQLock

/// The line's events and actions.
extension Line {
    enum Event: Equatable, Sendable {
        case acquire, tryAcquire, cancel, release
        /// The holder asks to raise the number, to the one that is published next.
        case raise
        /// The queue exists, with this many messages ready and this many consumers ahead of us.
        case declared(messages: UInt32, consumers: UInt32)
        /// The queue is bound to our exchange.
        case bound
        case consuming
        case delivered(UInt64, redelivered: Bool, Content)
        /// The nonce of the last `publish`; comes before any other event.
        case publishing(Publication, Nonce)
        case outcome(Publication, Nonce, Outcome)
        case cancelledByBroker
        case channelClosed(ChannelFault)
        /// No channel can be opened at the moment; one will be free soon.
        case channelUnavailable
        case timer(Timer)
    }

    enum Content: Equatable, Sendable {
        /// - Parameter after: the fence of the holder that published it; none if it was not a holder.
        case token(Nonce, fence: FencingToken, Wear, after: UInt64 = 0)
        /// A token more than a day ahead of the clock, or with an impossible count. If it was never returned, nobody
        /// was granted the lock by it.
        case absurd(number: UInt64, count: Int64)
        case companion(Nonce, count: Int64)
        /// Somebody waits behind us.
        case want
        /// A message of another mutex, published through our exchange: the queue may have been replaced.
        case otherKind
        /// A message that was not published through our exchange, or is unreadable.
        case foreign
    }

    enum Publication: Equatable, Sendable {
        /// A token for a queue that may be without one.
        case seed
        /// A token that replaces the held one.
        case exchange
        case companion
        /// Asks a process that keeps the lock without a holder to return it.
        case want
    }

    typealias Outcome = Publisher.Outcome

    enum Timer: Hashable, Sendable, CaseIterable {
        /// Until we go back in line: something on the broker was changing.
        case restart
        /// Until the queue is declared again, to see whether it is up.
        case declare
        /// Until we suspect that the queue has no token.
        case seed
        /// Until a try without a delivery assumes that the lock is held.
        case answer
        /// Until the process that has the lock is asked not to keep it.
        case want
        /// Until a try is answered in any case.
        case limit
        /// Until the messages needed before the grant have taken too long.
        case preparing
        /// Until the token is exchanged.
        case exchange
        /// Until the token has been held for the longest permitted time.
        case hold
        /// Until the companion is put back.
        case companion
        /// Until the queue's proof ends.
        case proof
        /// Until we publish again what did not arrive; before a grant, also until what was confirmed should be
        /// delivered.
        case retry
    }

    /// What to do, in this order.
    enum Action: Equatable, Sendable {
        case openChannel
        /// Declares our exchange and the queue, and binds it, in one write.
        case declare
        case consume
        /// Closes by a raw channel.close †: the queue removes the consumer and returns its deliveries in one step.
        case closeChannel
        /// Publishes through our exchange, with a fresh nonce, and reports that as `publishing` at once.
        case publish(Publication)
        /// Declares exchange and binding again, on a separate channel.
        case repair
        case acknowledge(UInt64)
        case putBack(UInt64)
        /// Starts a timer, or restarts it. All timers end with the channel, except `limit`, which belongs to the
        /// contender.
        case start(Timer)
        case stop(Timer)
        /// First in line, with this fence.
        case serve(FencingToken)
        /// Somebody wants the lock: it must not be kept after its release.
        case wanted
        /// The companion came back: the queue has served us since it was sent.
        case proven
        case contended
        /// The number is raised: later grants are above this one, whatever happens.
        case raised(FencingToken)
        /// A try cannot be answered: the broker does not send what it needs.
        case unable
        case refuse(ChannelFault, doing: String)
        case refuseAbsurd(number: UInt64, count: Int64)
        /// The place is lost, and everything that depends on it.
        case lose(LossReason)
        /// A foreign message was dropped.
        case report(String)
        /// A problem at the broker keeps the lock from working; for the message of a wait that times out.
        case trouble(String)
    }
}
