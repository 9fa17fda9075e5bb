import MQLock

/// What the first in line does to have the exclusive queue of a name, and to give it up.
///
/// A pure value: events in, actions out; no I/O, no clock, no randomness. The line decides who is next and with which fence;
/// see `Line`. The protocol is described in the article *The exclusive queue*; the sentences there that are marked † are each
/// guarded by a test that breaks them.
struct Claim: Sendable {
    /// Each case says where it can go.
    enum State: Equatable, Sendable {
        /// Nothing of the queue is ours, and we are not first in line; perhaps in it. To `claiming`.
        case idle
        /// First in line; the queue is being declared, and consumed, to be notified of its end. To `held`, `asking`, `refused`,
        /// `abandoning`, `deleting`, `idle`.
        case claiming
        /// First in line and refused: what is in the way? To `refused`, `idle`.
        case asking(Question)
        /// First in line, and somebody has the queue all the same. To `claiming`, `idle`.
        case refused
        /// Granted. To `deleting`, `idle`.
        case held
        /// The declaration has not been answered, and its answer is not wanted any more: whether there is something to delete
        /// is not known †. To `deleting`, `idle`.
        case abandoning
        /// The queue is ours, and is being deleted. To `idle`.
        case deleting
    }

    enum Question: Equatable, Sendable {
        /// Is it a queue that everybody may look at, and so one of another kind?
        case whether
        /// Of which?
        case which
    }

    enum Wanted: Equatable, Sendable { case acquire, tryAcquire }

    enum Event: Equatable, Sendable {
        case acquire, tryAcquire, cancel, release
        /// The line has answered the contender itself: contended, or refused.
        case answered
        /// First in line, with this fence.
        case first(FencingToken)
        case placeLost
        /// The queue is ours.
        case declared
        /// The broker will tell us of the queue's end.
        case watching
        /// There is a queue that is not exclusive.
        case exists
        case deleted
        case cancelledByBroker
        /// The channel of the claim.
        case channelClosed(ChannelFault)
        /// There is no channel to open at the moment; there will be one soon.
        case channelUnavailable
        case timer(Timer)
    }

    enum Timer: Hashable, Sendable, CaseIterable {
        /// Until the queue is declared again that was refused.
        case claim
        /// Until there may be a channel to delete the queue on.
        case delete
    }

    /// What is to be done, in this order.
    enum Action: Equatable, Sendable {
        case joinLine(Wanted)
        case cancelLine
        /// Gives up the first place.
        case leaveLine
        /// Opens the claim's channel, declares the queue and consumes it, in one write.
        case claim
        /// Opens the claim's channel and asks whether there is a queue that is not exclusive.
        case ask
        /// Asks on the same channel what arguments it has; the answer is a `channelClosed` that says so.
        case askWhich
        /// Deletes the queue, on the claim's channel, which is opened if need be.
        case delete
        case closeChannel
        case start(Timer)
        case grant(FencingToken)
        case contended
        case refuse(ChannelFault, doing: String)
        case lose(LossReason)
        /// The broker keeps the lock from working; for the message of a wait that times out.
        case trouble(String)
        /// Whether the queue is ours is not known, and only the end of the connection can tell †.
        case endSession
    }

    private(set) var state = State.idle
    /// The contender that is to be answered.
    private(set) var wanted: Wanted?
    /// How often the queue was refused to us as the first in line; the time to the next try grows with it.
    private(set) var refusals = 0
    /// The line's, while we are first.
    private var fence: FencingToken?
    /// Whether this declaration was answered with yes. Then the queue is ours whatever becomes of the channel.
    private var isDeclared = false

    /// Whether the name could be forgotten without anybody noticing.
    var isQuiet: Bool { state == .idle && wanted == nil }

    /// Whether the queue may be ours and nobody here needs it any more. The place in line is left when the broker has deleted
    /// it, and a connection that is closed before ends both in any order.
    var isReleasing: Bool { state == .deleting || state == .abandoning }

    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .acquire: return begin(.acquire)
        case .tryAcquire: return begin(.tryAcquire)
        case .cancel: return cancel()
        case .release:
            // Else the lease was lost before.
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
        // To declare a queue that is still ours succeeds, and means nothing: its deletion has to come first †.
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
        // The queue is ours all the same, and whoever is next is refused until it is deleted.
        case .held, .deleting, .abandoning, .idle: return []
        case .claiming:
            state = .abandoning
            return []
        case .asking, .refused: return left()
        }
    }

    // MARK: Leaving

    /// The queue first, and the place in line when the broker has deleted it. So the next in line finds it free †.
    private mutating func delete() -> [Action] {
        state = .deleting
        return [.delete]
    }

    /// Nothing of the queue is ours any more, but perhaps the place in line.
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
        // The declaration or the deletion may still be carried out, at any time: also when the queue is ours again †.
        case (.claiming, ChannelFault.unanswered), (.abandoning, ChannelFault.unanswered),
            (.deleting, ChannelFault.unanswered):
            return [.endSession]
        case (.claiming, ChannelFault.resourceLocked):
            // Every question is an error in the broker's log, too; what the name is used for seldom changes.
            return refusals.isMultiple(of: 4) ? ask() : taken()
        case (.claiming, ChannelFault.notFound): return claimLater()
        // It was declared and may not be consumed, for want of a permission.
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
        // It is gone, or another's already.
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

    /// Either it is held, or its name is in use for something else. The answer to a declaration is the same, but only the
    /// exclusive queue of another connection may not be looked at.
    private mutating func ask() -> [Action] {
        state = .asking(.whether)
        return [.ask]
    }

    /// Somebody has it who is not before us in the line: a holder whose connection has just gone, and the broker is on its
    /// way to its queues; one that lost its place in line; or a foreign program.
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
        // Not after a crash, of which the broker makes an end within milliseconds.
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
