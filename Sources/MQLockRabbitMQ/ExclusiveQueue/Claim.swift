import MQLock

/// How the first in line acquires the exclusive queue of a name, and releases it.
///
/// A pure value: events in, actions out; no I/O, no clock, no randomness. The line decides who is next and with which fence;
/// see `Line`. The protocol is described in the article *The exclusive queue*; the sentences there that are marked † are each
/// guarded by a test that breaks them.
struct Claim: Sendable {
    /// Each case says where it can go.
    enum State: Equatable, Sendable {
        /// The queue is not ours, and we are not first in line, but may be in it. To `claiming`.
        case idle
        /// First in line; the queue is being declared and consumed from; the consumer notifies us of its end. To
        /// `held`, `asking`, `refused`, `abandoning`, `deleting`, `idle`.
        case claiming
        /// First in line and refused; asking the broker what is in the way. To `refused`, `idle`.
        case asking(Question)
        /// First in line, but another connection has the queue. To `claiming`, `idle`.
        case refused
        /// Granted. To `deleting`, `idle`.
        case held
        /// The claim was abandoned before the declaration was answered: it is not known whether there is something to
        /// delete †. To `deleting`, `idle`.
        case abandoning
        /// The queue is ours and is being deleted. To `idle`.
        case deleting
    }

    enum Question: Equatable, Sendable {
        /// Whether the queue is visible to others, and so of another kind.
        case whether
        /// Which kind it is.
        case which
    }

    enum Wanted: Equatable, Sendable { case acquire, tryAcquire }

    enum Event: Equatable, Sendable {
        case acquire, tryAcquire, cancel, release
        /// The line itself has answered the contender: contended or refused.
        case answered
        /// First in line, with this fence.
        case first(FencingToken)
        case placeLost
        /// The queue is ours.
        case declared
        /// The broker will notify us of the queue's end.
        case watching
        /// The queue exists and is not exclusive.
        case exists
        case deleted
        case cancelledByBroker
        /// The channel of the claim.
        case channelClosed(ChannelFault)
        /// No channel can be opened at the moment; one will be free soon.
        case channelUnavailable
        case timer(Timer)
    }

    enum Timer: Hashable, Sendable, CaseIterable {
        /// Until the refused queue is declared again.
        case claim
        /// Until a channel may be free to delete the queue on.
        case delete
    }

    /// What to do, in this order.
    enum Action: Equatable, Sendable {
        case joinLine(Wanted)
        case cancelLine
        /// Leaves the first place.
        case leaveLine
        /// Opens the claim's channel, declares the queue and consumes from it, in one write.
        case claim
        /// Opens the claim's channel and asks whether the queue exists and is not exclusive.
        case ask
        /// Asks on the same channel for its arguments; the answer is a `channelClosed` that names them.
        case askWhich
        /// Deletes the queue, on the claim's channel, which is opened if necessary.
        case delete
        case closeChannel
        case start(Timer)
        case grant(FencingToken)
        case contended
        case refuse(ChannelFault, doing: String)
        case lose(LossReason)
        /// A problem at the broker keeps the lock from working; for the message of a wait that times out.
        case trouble(String)
        /// It is not known whether the queue is ours; only the end of the connection settles that †.
        case endSession
    }

    private(set) var state = State.idle
    /// The contender that waits for an answer.
    private(set) var wanted: Wanted?
    /// How often we were refused as the first in line; the time to the next try grows with it.
    private(set) var refusals = 0
    /// The line's fence, while we are first.
    private var fence: FencingToken?
    /// Whether this declaration succeeded. Then the queue is ours, whatever happens to the channel.
    private var isDeclared = false

    /// Whether the name can be forgotten without an effect.
    var isQuiet: Bool { state == .idle && wanted == nil }

    /// Whether the queue may be ours although nobody here needs it any longer. We leave the place in line when the
    /// broker has deleted the queue; a connection that is closed before that ends both, in any order.
    var isReleasing: Bool { state == .deleting || state == .abandoning }

    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .acquire: return begin(.acquire)
        case .tryAcquire: return begin(.tryAcquire)
        case .cancel: return cancel()
        case .release:
            // Otherwise the lease was lost before.
            return state == .held ? delete() : []
        case .answered:
            wanted = nil
            return []
        case .first(let fence): return first(fence)
        case .placeLost: return placeLost()
        case .declared:
            isDeclared = true
            return state == .abandoning ? delete() : []
        case .watching: return watching()
        case .exists:
            guard state == .asking(.whether) else { return [] }
            state = .asking(.which)
            return [.askWhich]
        case .deleted: return state == .deleting ? left() : []
        case .cancelledByBroker: return cancelledByBroker()
        case .channelClosed(let fault): return channelClosed(fault)
        case .channelUnavailable: return channelUnavailable()
        case .timer(let timer): return elapsed(timer)
        }
    }

    // MARK: The contender

    private mutating func begin(_ wanted: Wanted) -> [Action] {
        guard self.wanted == nil else { preconditionFailure("a second contender for one name in \(state)") }
        self.wanted = wanted
        switch state {
        case .idle: return [.joinLine(wanted)]
        // Declaring a queue that is still ours succeeds, and means nothing: its deletion has to come first †.
        case .abandoning, .deleting: return []
        case .claiming, .asking, .refused, .held: preconditionFailure("a contender for one name in \(state)")
        }
    }

    private mutating func cancel() -> [Action] {
        guard wanted != nil else { preconditionFailure("nobody to be cancelled in \(state)") }
        wanted = nil
        switch state {
        case .idle: return [.cancelLine]
        case .claiming:
            state = .abandoning
            return []
        case .asking, .refused: return left()
        case .abandoning, .deleting: return []
        case .held: preconditionFailure("a wait is cancelled in \(state)")
        }
    }

    private mutating func first(_ fence: FencingToken) -> [Action] {
        guard state == .idle, wanted != nil else { preconditionFailure("first in line for nobody in \(state)") }
        self.fence = fence
        refusals = 0
        return claim()
    }

    private mutating func claim() -> [Action] {
        state = .claiming
        isDeclared = false
        return [.claim]
    }

    private mutating func watching() -> [Action] {
        // Answered before it was abandoned.
        if state == .abandoning { return delete() }
        guard state == .claiming, let fence else { return [] }
        state = .held
        wanted = nil
        return [.grant(fence)]
    }

    /// The next in line may be granted a larger fence from here on.
    private mutating func placeLost() -> [Action] {
        switch state {
        // The queue is ours anyway, and the next in line is refused until it is deleted.
        case .held, .deleting, .abandoning, .idle: return []
        case .claiming:
            state = .abandoning
            return []
        case .asking, .refused: return left()
        }
    }

    // MARK: Leaving

    /// Deletes the queue first, and leaves the place in line when the broker has deleted it. So the next in line finds
    /// it free †.
    private mutating func delete() -> [Action] {
        state = .deleting
        return [.delete]
    }

    /// The queue is no longer ours; the place in line may be.
    private mutating func left() -> [Action] {
        state = .idle
        fence = nil
        return [.closeChannel, .leaveLine] + (wanted.map { [.joinLine($0)] } ?? [])
    }

    private mutating func refuse(_ fault: ChannelFault, doing: String) -> [Action] {
        wanted = nil
        return left() + [.refuse(fault, doing: doing)]
    }

    private mutating func cancelledByBroker() -> [Action] {
        switch state {
        case .held: return [.lose(LossReason(.queueDeleted))] + left()
        // Deleted between declaration and grant.
        case .claiming: return [.closeChannel] + claimLater()
        case .idle, .asking, .refused, .abandoning, .deleting: return []
        }
    }

    private mutating func channelClosed(_ fault: ChannelFault) -> [Action] {
        switch (state, fault.code) {
        // The declaration or the deletion may still be executed at any time, even when the queue is ours again †.
        case (.claiming, ChannelFault.unanswered), (.abandoning, ChannelFault.unanswered),
            (.deleting, ChannelFault.unanswered):
            return [.endSession]
        case (.claiming, ChannelFault.resourceLocked):
            // Every question writes an error to the broker's log, too, and the use of a name seldom changes.
            return refusals.isMultiple(of: 4) ? ask() : taken()
        case (.claiming, ChannelFault.notFound): return claimLater()
        // It was declared, but we have no permission to consume from it.
        case (.claiming, _) where isDeclared:
            wanted = nil
            return delete() + [.refuse(fault, doing: "consuming from the lock's queue")]
        case (.claiming, _): return refuse(fault, doing: "declaring the lock's queue")
        case (.abandoning, ChannelFault.notFound), (.abandoning, ChannelFault.resourceLocked): return left()
        case (.abandoning, _): return isDeclared ? delete() : left()

        case (.asking(.whether), ChannelFault.resourceLocked): return taken()
        // Free by now.
        case (.asking(.whether), ChannelFault.notFound): return claimLater()
        case (.asking, ChannelFault.unanswered):
            return [.trouble("the broker does not answer for the lock's queue; if that lasts, delete it")]
                + claimLater()
        case (.asking(.which), ChannelFault.preconditionFailed) where fault.saysInvalid: return claimLater()
        case (.asking, _): return refuse(fault, doing: "declaring the lock's queue")

        case (.held, _): return [.lose(LossReason(.channelClosed, "\(fault.code) \(fault.text)"))] + delete()
        // It is gone, or another connection already has it.
        case (.deleting, ChannelFault.notFound), (.deleting, ChannelFault.resourceLocked): return left()
        case (.deleting, ChannelFault.outOfChannels.code): return [.start(.delete)]
        case (.deleting, _): return delete()
        case (.idle, _), (.refused, _): return []
        }
    }

    private mutating func channelUnavailable() -> [Action] {
        switch state {
        case .claiming, .asking: return claimLater()
        case .deleting: return [.start(.delete)]
        case .idle, .refused, .held, .abandoning: return []
        }
    }

    // MARK: Refused

    /// Either the lock is held, or its name is used for something else. A declaration gets the same answer, but only
    /// another connection's exclusive queue refuses a passive declaration.
    private mutating func ask() -> [Action] {
        state = .asking(.whether)
        return [.ask]
    }

    /// The owner of the queue is not ahead of us in line. It is a holder whose connection has just ended and whose
    /// queues the broker has not deleted yet, a holder that lost its place in line, or a foreign program.
    private mutating func taken() -> [Action] {
        guard wanted == .acquire else {
            wanted = nil
            return left() + [.contended]
        }
        return claimLater()
    }

    private mutating func claimLater() -> [Action] {
        state = .refused
        refusals += 1
        // Not after a crash, which the broker cleans up within milliseconds.
        return (refusals == 6 ? [.trouble(Self.ownedElsewhere)] : []) + [.start(.claim)]
    }

    private static let ownedElsewhere = """
        this is the first in line, and the lock's queue belongs to a connection that stands in no line: another program's, \
        or a holder's whose broker node is cut off
        """

    private mutating func elapsed(_ timer: Timer) -> [Action] {
        switch (timer, state) {
        case (.claim, .refused): return claim()
        case (.delete, .deleting): return delete()
        case (.claim, _), (.delete, _): return []
        }
    }
}
