import MQLock

/// One name of the single active consumer mutex within one session: what to say to the broker, and whom to grant.
///
/// A pure value: events in, actions out; no I/O, no clock, no randomness. The session feeds it what the broker sent on
/// the name's channel and performs its actions in order. Every attempt has a channel of its own. The protocol is
/// described in the article *The single active consumer*; the sentences there that are marked † are each guarded by a
/// test in which the machine breaks them.
struct SACMachine: Sendable {
    /// Where the name stands. Each case says where it can go.
    enum State: Equatable, Sendable {
        /// No channel, and nobody wants the lock. To `waiting`.
        case closed
        /// No channel; starts again a little later. To `waiting`, `closed`.
        case pausing
        /// In the broker's line, or on the way there, and nothing has been delivered. To `candidate`, `pausing`,
        /// `closed`.
        case waiting(isConfirmed: Bool)
        /// A token has been delivered, so the broker serves us and nobody else. To `held`, `pausing`, `closed`.
        case candidate(Candidate)
        /// Granted. To `closed`.
        case held(Hold)
    }

    typealias Token = Candidate.Token
    typealias Publication = Candidate.Publication

    struct Hold: Equatable, Sendable {
        /// Grows with every renewal; the lease's number does not.
        var token: Token
        var renewal: Publication?
        /// Renewals that were published and given up on. They may still arrive, and mean nothing then.
        var givenUp: Set<Nonce> = []
    }

    struct Wanted: Equatable, Sendable {
        let attempt: Attempt
        let waits: Bool
    }

    var state = State.closed
    /// The contender that is to be answered.
    var wanted: Wanted?
    /// One seed at a time: its publisher may be blocked by an alarm for hours.
    var isSeeding = false
    /// How many seeds this attempt has published for want of a token; the time to the next grows with it.
    var seedRound = 0
    /// The timers that count; others have been overtaken.
    var timers: [Timer: UInt64] = [:]
    var lastTimer: UInt64 = 0

    /// What a holder is told when the broker cancels its consumer.
    var cancelled = LossReason(.queueDeleted)

    /// A test switch: which sentence of the protocol to break.
    var mutant: Mutant?

    init() {}

    /// Whether the name could be forgotten without anybody noticing.
    var isQuiet: Bool { wanted == nil && state == .closed }

    /// Whether the queue is being declared.
    var isContacting: Bool { state == .waiting(isConfirmed: false) }
}

extension SACMachine {
    /// What the session tells the machine.
    enum Event: Equatable, Sendable {
        case acquire(Attempt)
        case tryAcquire(Attempt)
        /// The contender was cancelled or its deadline passed; it has had its answer.
        case abandon(Attempt)
        case release
        /// The queue is there, with so many messages ready and so many consumers before us.
        case declared(messages: UInt32, consumers: UInt32)
        case consuming
        case delivered(UInt64, redelivered: Bool, Content)
        /// What the last `publish` has become; comes before anything else.
        case publishing(SACMessage)
        case confirmed(Nonce)
        /// The token is not in the queue, or nobody knows.
        case unconfirmed(Nonce)
        /// The broker does not let us publish.
        case publishRefused(Nonce, ChannelFault)
        /// The seed is in the queue, or nobody knows.
        case seeded
        case seedRefused(ChannelFault)
        case renewalDue
        case cancelledByBroker
        case channelClosed(ChannelFault)
        /// There is no channel to open at the moment; there will be one soon.
        case channelUnavailable
        case timer(Timer, UInt64)
    }

    enum Content: Equatable, Sendable {
        /// - Parameter isFarAhead: the number is more than a day ahead of the clock.
        case token(SACMessage, isFarAhead: Bool)
        case stranger
    }

    enum Timer: Hashable, Sendable {
        /// Until we go back in line: something on the broker was in motion.
        case restart
        /// Until we suspect that the queue has no token.
        case seed
        /// Until a try that has been delivered nothing takes the lock for taken.
        case answer
        /// Until a try is answered, come what may.
        case limit
        /// Until we publish again what did not arrive.
        case publish
    }

    /// What the session does, in this order.
    enum Action: Equatable, Sendable {
        /// Opens a channel with the prefetch of the protocol.
        case openChannel
        /// Declares the queue and consumes from it, in one write.
        case join
        /// By a raw channel.close: consumer and deliveries go back in one step of the queue.
        case closeChannel
        case seed
        /// Publishes a token above this number with a fresh nonce, and reports it as `publishing` at once.
        case publish(above: UInt64)
        case acknowledge(UInt64)
        case start(Timer, UInt64)
        case grant(Attempt, number: UInt64, Nonce)
        /// The hold stands on a new delivery, of the token with this nonce.
        case renewed(Nonce)
        case contended(Attempt)
        case fail(Attempt, ChannelFault, doing: String)
        /// A token's number is too far ahead to go on from.
        case failFarAhead(Attempt, number: UInt64)
        case lose(LossReason)
        /// A message that is none of ours was dropped.
        case report(String)
        /// The broker keeps the lock from working; for the message of a wait that times out.
        case trouble(String)
    }

    /// Ways to break the protocol, each of which the tests have to notice.
    enum Mutant: Sendable, CaseIterable {
        /// Candidates keep every token of the largest number.
        case keepsTies
        /// Candidates acknowledge the largest token before their own is confirmed and delivered.
        case keepsNothing
        case grantsOnTie
        case grantsRedelivered
        case holderIgnoresRedelivered

        /// The same for the part of the protocol that is the candidate's.
        var ofCandidate: Candidate.Mutant? {
            switch self {
            case .keepsTies: .keepsTies
            case .keepsNothing: .keepsNothing
            case .grantsOnTie: .grantsOnTie
            case .grantsRedelivered: .grantsRedelivered
            case .holderIgnoresRedelivered: nil
            }
        }
    }
}
