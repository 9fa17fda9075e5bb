import MQLock

/// One name of the token mutex within one session: what to say to the broker, and whom to grant.
///
/// A pure value: events in, actions out; no I/O, no clock, no randomness. The session feeds it what the broker sent on
/// the name's channel and performs its actions in order. It serves one contender at a time (local arbitration sees to
/// that) but may still be cleaning up after the last one. The protocol is described in the article *The token mutex*.
struct TokenMachine: Sendable {
    /// Where the name stands. Each case says where it can go.
    enum State: Equatable, Sendable {
        /// No channel. To `preparing`.
        case closed
        /// Finding out or making what there has to be on the broker. To `idle`, `getting`, `closed`.
        case preparing(Preparation)
        /// Prepared, nobody contends. To `getting`.
        case idle
        /// Asked for the token once. Every contender begins so: where nobody else wants the lock, that is all it takes,
        /// in half the steps of the broker that a consumer needs. To `consuming`, `pinning`, `verifying`, `held`, `idle`.
        case getting
        /// In the broker's line, as the consumer with this tag. To `pinning`, `verifying`, `held`, `idle`.
        case consuming(tag: UInt64)
        /// A token is here, and our consumer on the register is being placed. To `verifying`, `idle`.
        case pinning(Token)
        /// The register is being asked whether the token is the valid one. To `held`, `pinning`, `consuming`,
        /// `getting`, `minting`, `idle`.
        case verifying(Token)
        /// A valid token is here that must not be granted, and another is put in its place. To `consuming`, `getting`,
        /// `idle`, `closed`.
        case minting(Token, Minting)
        /// Granted. To `idle` by release, else to `closed`.
        case held(Token)
    }

    /// A token that was delivered to us and is not acknowledged.
    struct Token: Equatable, Sendable {
        let deliveryTag: UInt64
        /// The consumer it came to; nil for one that was asked for.
        let consumerTag: UInt64?
        let message: TokenMessage
        let count: Int64
        /// It has been delivered before and has come back other than by a release.
        let isRedelivered: Bool
    }

    enum Pin: Equatable, Sendable { case none, asked, placed }

    struct Wanted: Equatable, Sendable {
        let attempt: Attempt
        let waits: Bool
    }

    var state = State.closed
    var isChannelOpen = false
    /// The contender that is to be answered.
    var wanted: Wanted?
    /// Our consumer on the register. It keeps the register from expiring, and the broker tells us of its deletion.
    var pin = Pin.none
    /// What the register answered while our consumer stood on it; forgotten with the consumer.
    var validNonce: Nonce?
    /// Our consumers that the broker has not confirmed yet.
    var unconfirmed: Set<UInt64> = []
    /// What to do when it has: cancel the consumer, and give a delivery back that it brought.
    var deferred: [UInt64: Action?] = [:]
    /// Whether the mending queue may be ours. Whoever may have it gives it back, wanted or not.
    var mayHaveMend = false
    var lastTag: UInt64 = 0
    var lastVerification: UInt64 = 0
    var lastPause: UInt64 = 0
    var lastMint: UInt64 = 0

    /// On classic queues the broker counts releases only, and a crash of it takes counts back.
    let durability: RabbitMQLocks.Durability
    /// What a holder is told when the broker cancels its consumer.
    var cancelled = LossReason(.queueDeleted)

    /// A test switch: which sentence on classic queues to break.
    var mutant: Mutant?
    /// A test switch: a delivery that nobody waits for any more is kept instead of put back.
    var mutantKeepsLateDeliveries = false

    init(_ durability: RabbitMQLocks.Durability = .replicated) { self.durability = durability }

    /// Whether what there is on the broker is being found out or made.
    var isContacting: Bool {
        switch state {
        case .preparing(.pausing): false
        case .preparing: true
        default: false
        }
    }

    /// Whether the name could be forgotten without anybody noticing.
    var isQuiet: Bool {
        guard wanted == nil else { return false }
        return state == .idle || state == .closed
    }
}

extension TokenMachine {
    /// What the session tells the machine.
    enum Event: Equatable, Sendable {
        case acquire(Attempt)
        case tryAcquire(Attempt)
        /// The contender was cancelled or its deadline passed; it has had its answer.
        case abandon(Attempt)
        case release
        /// The hold has lasted as long as it may; the lease has been ended.
        case holdLimitReached
        /// The broker said yes to the one request under way on the name's channel.
        case done
        /// The seed was published as this message and is in the queue.
        case seeded(Nonce)
        /// The seed did not arrive, or nobody knows: publish another.
        case seedFailed
        /// The broker does not let us publish.
        case seedRefused(ChannelFault)
        case verified(UInt64)
        /// 406: the register names another nonce.
        case refuted(UInt64)
        /// The register could not be asked.
        case verificationFailed(UInt64, ChannelFault)
        case consumeConfirmed(Tag)
        case delivered(consumerTag: UInt64?, deliveryTag: UInt64, isRedelivered: Bool = false, Content)
        /// The token minted with this number was published as this message and is in the queue.
        case minted(UInt64, Nonce)
        /// It did not arrive, or nobody knows.
        case mintFailed(UInt64)
        /// The broker does not let us publish.
        case mintRefused(UInt64, ChannelFault)
        case gotNothing
        case cancelledByBroker(Tag)
        case channelClosed(ChannelFault)
        /// There is no channel to open at the moment; there will be one soon.
        case channelUnavailable
        case pauseOver(UInt64)
    }

    /// A consumer of ours on the name's channel.
    enum Tag: Hashable, Sendable {
        case token(UInt64)
        case pin
    }

    enum Content: Equatable, Sendable {
        case token(TokenMessage, count: Int64)
        case stranger
    }

    /// What the session does, in this order.
    enum Action: Equatable, Sendable {
        /// Opens the name's channel with a prefetch of one.
        case openChannel
        case closeChannel
        case request(Request)
        /// Publishes a token with a fresh nonce over the publish connection.
        case seed
        /// Declares the register with this nonce on a channel of its own: a refusal must not close the name's.
        case verify(UInt64, Nonce)
        case consume(UInt64)
        case get
        case placePin
        /// Takes our consumer off the register.
        case withdrawPin
        /// Publishes a token in the place of this one: a fresh nonce, and a number above what this one can have been
        /// granted with and not below the clock's.
        case mint(UInt64, above: Token)
        case cancel(UInt64)
        case acknowledge(UInt64)
        /// Back into the queue, marked as delivered before.
        case putBack(UInt64)
        /// Through a classic queue's dead-letter loop: back into the queue as if new, with one more in its count.
        case handOn(UInt64)
        case pause(UInt64)
        case grant(Attempt, Token)
        case contended(Attempt)
        case fail(Attempt, ChannelFault, doing: String)
        case lose(LossReason)
        /// A message that is no valid token was dropped.
        case report(String)
        /// The broker keeps the lock from working; for the message of a wait that times out.
        case trouble(String)
    }

    /// A request on the name's channel whose answer is `done` or `channelClosed`.
    enum Request: Equatable, Sendable {
        case findRegister
        case findQueue
        case declareQueue
        case claimRegister(Nonce)
        case lockMend
        case deleteRegister
        case unlockMend
    }

    /// Ways to break the protocol on classic queues, each of which the tests have to notice.
    enum Mutant: Sendable, CaseIterable {
        /// Grants what comes redelivered.
        case neverMints
        /// Mints a token without asking the register whether it is the valid one.
        case mintsUnverified
        /// Puts what came redelivered back through the dead-letter loop, which takes the mark away.
        case hidesRedelivery
    }
}
