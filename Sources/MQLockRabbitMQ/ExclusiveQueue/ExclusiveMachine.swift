import MQLock

/// One name of the exclusive queue mutex within one session: what to say to the broker, and whom to grant.
///
/// A pure value: events in, actions out; no I/O, no clock, no randomness. The session feeds it what the broker sent on
/// the name's channels and performs its actions in order. The protocol is described in the article *The exclusive queue*;
/// the sentences there that are marked † are each guarded by a test in which the machine breaks them.
struct ExclusiveMachine: Sendable {
    /// Where the name stands. Each case says where it can go.
    enum State: Equatable, Sendable {
        /// No channel, and nobody wants the lock. To `waiting`.
        case closed
        /// No channel; starts again a little later. To `waiting`, `closed`.
        case pausing
        /// In line, or on the way there. To `claiming`, `pausing`, `closed`.
        case waiting(isConfirmed: Bool)
        /// First in line; the queue is being declared, and the register raised. To `registering`, `asking`, `refused`,
        /// `leaving`, `closed`.
        case claiming
        /// First in line and refused: what is in the way? To `refused`, `closed`.
        case asking(Question)
        /// First in line, and somebody has the queue all the same. To `claiming`, `pausing`, `closed`.
        case refused
        /// The queue is ours, and the register is being raised. To `held`, `leaving`.
        case registering
        /// Granted. To `leaving`.
        case held
        /// The queue is being given back. To `closed`, `pausing`, `waiting`.
        case leaving(Leaving)
    }

    enum Question: Equatable, Sendable {
        /// Is it a queue that everybody may look at, and so one of another kind?
        case whether
        /// Of which?
        case which
    }

    enum Leaving: Equatable, Sendable {
        /// The declaration has not been answered: whether there is something to delete is not known †.
        case claiming
        case deleting(Channel)
        /// There is no channel to delete it on at the moment.
        case pausing
    }

    struct Wanted: Equatable, Sendable {
        let attempt: Attempt
        let waits: Bool
    }

    /// The channels of one attempt.
    enum Channel: Hashable, Sendable {
        /// Stands in line; watches the queue and deletes it.
        case line
        /// Declares the queue; a refusal closes it. Deletes the queue when `line` is gone.
        case claim
        /// Reads the register: open between turn and grant only.
        case register
        /// Asks what is in the way.
        case question
    }

    var state = State.closed
    /// The contender that is to be answered.
    var wanted: Wanted?
    var open: Set<Channel> = []
    /// The delivery that makes us the first in line; kept as long as we are.
    var turn: UInt64?
    /// Our candidacy in the register, once it has delivered a number.
    var candidate: Candidate?
    /// Whether the broker will tell us of the queue's end. Nothing is granted before †.
    var isWatching = false
    /// Whether a wait that has to begin anew does so a little later.
    var mindsTrouble = false
    /// Whether nobody seems to have used the name before.
    var isNew = false
    /// One seed of each queue at a time: its publisher may be blocked by an alarm for hours.
    var seeding: Set<Seeded> = []
    /// How many seeds this attempt has published for want of a turn or a number; the time to the next grows with it.
    var seedRound = 0
    /// How often the queue was refused to us as the first in line; the time to the next try grows with it.
    var refusals = 0
    /// The timers that count; others have been overtaken.
    var timers: [Timer: UInt64] = [:]
    var lastTimer: UInt64 = 0

    /// A test switch: which sentence of the protocol to break.
    var mutant: Mutant?

    init() {}

    /// Whether the name could be forgotten without anybody noticing.
    var isQuiet: Bool { wanted == nil && state == .closed }

    /// Whether the register is being read.
    var isRegistering: Bool { state == .claiming || state == .registering }

    /// Whether queues that may be new to the broker are being declared.
    var isContacting: Bool {
        switch state {
        case .waiting(isConfirmed: false): true
        case .waiting, .claiming, .registering: isNew
        default: false
        }
    }
}

extension ExclusiveMachine {
    /// What the session tells the machine.
    enum Event: Equatable, Sendable {
        case acquire(Attempt)
        case tryAcquire(Attempt)
        /// The contender was cancelled or its deadline passed; it has had its answer.
        case abandon(Attempt)
        case release
        /// The line is there, with so many messages ready and so many consumers before us.
        case lineDeclared(messages: UInt32, consumers: UInt32)
        case standing
        case lineDelivered(UInt64, isTurn: Bool)
        /// The queue is ours.
        case claimed
        /// The queue was still there, and the broker will tell us of its end.
        case watching
        /// The register is there.
        case registerDeclared(messages: UInt32, consumers: UInt32)
        case reading
        case registerDelivered(UInt64, redelivered: Bool, Content)
        /// What the last `publish` has become; comes before anything else.
        case publishing(FenceMessage)
        case confirmed(Nonce)
        /// The number is not in the register, or nobody knows.
        case unconfirmed(Nonce)
        /// The broker does not let us publish.
        case publishRefused(Nonce, ChannelFault)
        /// The seed is in its queue, or nobody knows.
        case seeded(Seeded)
        case seedRefused(Seeded, ChannelFault)
        /// The question is answered: there is a queue that is not exclusive.
        case exists
        case deleted
        case renewalDue
        case cancelledByBroker(Consumer)
        case channelClosed(Channel, ChannelFault)
        /// There is no such channel to open at the moment; there will be one soon.
        case channelUnavailable(Channel)
        case timer(Timer, UInt64)
    }

    enum Content: Equatable, Sendable {
        /// - Parameter isFarAhead: the number is more than a day ahead of the clock.
        case number(FenceMessage, isFarAhead: Bool)
        case stranger
    }

    enum Seeded: Hashable, Sendable { case line, register }

    /// What we consume, each under this name as tag.
    enum Consumer: String, Sendable { case line, queue, register }

    enum Timer: Hashable, Sendable {
        /// Until we go back in line: something on the broker was in motion.
        case restart
        /// Until we suspect that the line has no turn, or the register no number.
        case seed
        /// Until we, the first in line, declare the queue again that was refused to us.
        case claim
        /// Until a try that has been delivered nothing takes the lock for taken.
        case answer
        /// Until a try is answered, come what may.
        case limit
        /// Until we publish again what did not arrive.
        case publish
        /// Until there may be a channel to delete the queue on.
        case delete
    }

    /// What the session does, in this order.
    enum Action: Equatable, Sendable {
        /// Opens the channel, declares the line and consumes from it, in one write.
        case join
        /// Opens two channels and in one write declares the queue on one, and on the other declares the register and
        /// consumes from it.
        case claim
        /// Consumes the queue, on the line's channel: to be told of its end.
        case watch
        /// Opens the channel and asks whether there is a queue that is not exclusive.
        case ask
        /// Asks on the same channel what arguments it has; the answer is a `channelClosed` that says so.
        case askWhich
        /// By a raw channel.close: consumers and deliveries go back in one step of each queue.
        case close(Channel)
        /// Deletes the queue, on a channel that is open, or on a new one.
        case delete(Channel, opens: Bool)
        case seed(Seeded)
        /// Publishes to the register a number above this one with a fresh nonce; reports it as `publishing` at once.
        case publish(above: UInt64)
        case acknowledge(Channel, UInt64)
        /// Puts the turn back, which comes to us again at once: we are the first in line.
        case renewTurn(UInt64)
        case start(Timer, UInt64)
        case grant(Attempt, number: UInt64)
        case contended(Attempt)
        case fail(Attempt, ChannelFault, doing: String)
        /// A number is too far ahead to go on from.
        case failFarAhead(Attempt, number: UInt64)
        case lose(LossReason)
        /// A message that is none of ours was dropped.
        case report(String)
        /// The broker keeps the lock from working; for the message of a wait that times out.
        case trouble(String)
        /// Whether the queue is ours is not known, and only its end can tell †.
        case endSession
    }

    /// Ways to break the protocol, each of which the tests have to notice.
    enum Mutant: Sendable, CaseIterable {
        /// Leaves the line before the queue is deleted.
        case leavesLineFirst
        /// Grants before it would be told of the queue's end.
        case grantsUnwatched
        /// Contends again while its own deletion is under way.
        case ignoresOwnDeletion
        /// Gives up while its declaration is under way, and does not wait for the answer.
        case forgetsOwnClaim
        /// Takes the turn out of the line for good.
        case consumesTurn
        /// Acknowledges what it read in the register before its own number is there.
        case keepsNothing
        /// Is content with a number that another has, too.
        case grantsOnTie

        /// The same for the part of the protocol that is the candidate's.
        var ofCandidate: Candidate.Mutant? {
            switch self {
            case .keepsNothing: .keepsNothing
            case .grantsOnTie: .grantsOnTie
            default: nil
            }
        }
    }
}
