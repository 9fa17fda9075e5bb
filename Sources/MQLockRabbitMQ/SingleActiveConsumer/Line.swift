import MQLock

/// A contender's place in the broker's own line for one name: how it joins, waits, becomes first and leaves.
///
/// A pure value: events in, actions out; no I/O, no clock, no randomness. Every attempt has its own channel. The first
/// token that is delivered on a channel is the lock †; nothing is published to grant or to hand over. The protocol is
/// described in the article *The single active consumer*; the sentences there that are marked † are each guarded by a
/// test that breaks them.
struct Line: Sendable {
    /// Each case says where it can go.
    enum State: Equatable, Sendable {
        /// No channel. To `declaring`, `waiting`.
        case out
        /// No channel; joins again a little later. To `declaring`, `waiting`, `out`.
        case pausing
        /// First contact of this session with the queue: it is declared, and has to show that it is up. To `waiting`,
        /// `pausing`, `out`.
        case declaring
        /// Consuming; nothing has been delivered yet. To `preparing`, `first`, `pausing`, `out`.
        case waiting(isConfirmed: Bool)
        /// First in line, but something is needed before the grant. To `first`, `pausing`, `out`.
        case preparing(Place)
        /// First in line, and the contender has been served. To `out`.
        case first(Place)
    }

    struct Token: Equatable, Sendable {
        let delivery: UInt64
        let nonce: Nonce
        /// Combines its number and the broker's count of its returns.
        let fence: FencingToken
        let wear: Wear
    }

    /// A token that only returns keeps its first place in the queue's log, which grows behind it.
    enum Wear: Equatable, Sendable {
        case fresh
        /// From here on the token is exchanged.
        case worn
        /// From here on the grant waits for the exchange.
        case wornOut
    }

    private(set) var state = State.out
    private(set) var wanted: Wanted?
    /// Whether this session has found or created the queue. Then the next attempt consumes without declaring it.
    private(set) var isKnown = false
    /// How many seeds this attempt has published; the time to the next one grows with it.
    private(set) var seedRound = 0
    /// How often in a row an attempt failed; the time to the next try grows with it.
    private(set) var failures = 0
    /// Whether a grant with a worn token waits for the exchange.
    private var exchangesFirst = true
    /// Counts the channels, one for each attempt.
    private var attempt = 0
    /// The attempt that has published a seed with an unknown outcome. Only one at a time: an alarm may block its
    /// publisher for hours.
    private var seeding: Int?
    /// Whether the declaration showed neither message nor consumer.
    private var isNew = false
    /// Whether this attempt's channel has declared the queue.
    private var hasDeclared = false

    /// Whether a want has come since this attempt began to consume. It is remembered until the release †.
    private(set) var isWanted = false
    /// Whether to announce a wait: others may be sticky, and the broker permits it as far as we know.
    private var mayWant: Bool

    private let provesByQueue: Bool
    private let cancelled: LossReason

    enum Wanted: Equatable, Sendable { case acquire, tryAcquire }

    /// - Parameters:
    ///   - provesByQueue: whether a companion is kept beside the token.
    ///   - cancelled: what it means when the broker cancels the consumer of the first in line.
    ///   - sendsWants: whether others may keep the lock without a holder, and have to be asked for it.
    init(
        provesByQueue: Bool = false, cancelled: LossReason = LossReason(.queueDeleted), sendsWants: Bool = false
    ) {
        self.provesByQueue = provesByQueue
        mayWant = sendsWants
        self.cancelled = cancelled
    }

    /// Whether the name can be forgotten without an effect.
    var isQuiet: Bool { wanted == nil && state == .out }

    /// Whether a queue that may be new to the broker is being declared.
    var isContacting: Bool { state == .declaring }

    /// Whether something has to be published before the contender can be served, or is known to be in line.
    var needsPublish: Bool {
        switch state {
        case .declaring, .preparing, .pausing: true
        case .out, .waiting, .first: false
        }
    }

    var isFirst: Bool {
        if case .first = state { true } else { false }
    }

    /// Our state as the first in line, while we are.
    var place: Place? {
        switch state {
        case .preparing(let place), .first(let place): place
        case .out, .pausing, .declaring, .waiting: nil
        }
    }

    mutating func handle(_ event: Event) -> [Action] {
        switch event {
        case .acquire: return begin(.acquire)
        case .tryAcquire: return begin(.tryAcquire)
        case .cancel: return cancel()
        case .release: return release()
        case .raise: return raise()
        case .declared(let messages, let consumers): return declared(isNew: messages == 0 && consumers == 0)
        case .bound: return bound()
        case .consuming: return consuming()
        case .delivered(let delivery, let redelivered, let content): return delivered(delivery, redelivered, content)
        case .publishing(let publication, let nonce): return publishing(publication, nonce)
        case .outcome(.seed, _, let outcome): return seeded(outcome)
        case .outcome(.want, _, let outcome):
            if case .refused = outcome { mayWant = false }
            return []
        case .outcome(let publication, let nonce, let outcome): return published(publication, nonce, outcome)
        case .cancelledByBroker: return cancelledByBroker()
        case .channelClosed(let fault): return channelClosed(fault)
        // Timers of this attempt may already run; they end with its channel, even if none was opened.
        case .channelUnavailable: return restart()
        case .timer(let timer): return elapsed(timer)
        }
    }
}

// MARK: - Joining

extension Line {
    private mutating func begin(_ wanted: Wanted) -> [Action] {
        guard self.wanted == nil, state == .out else {
            preconditionFailure("a second contender for one name in \(state)")
        }
        self.wanted = wanted
        (seedRound, failures, exchangesFirst) = (0, 0, true)
        return (wanted == .tryAcquire ? [.start(.limit)] : []) + join()
    }

    private mutating func join() -> [Action] {
        (isNew, hasDeclared, isWanted) = (false, false, false)
        attempt += 1
        guard isKnown else {
            state = .declaring
            return [.openChannel, .declare]
        }
        return [.openChannel] + consume()
    }

    private mutating func declared(isNew: Bool) -> [Action] {
        guard state == .declaring else { return [] }
        hasDeclared = true
        self.isNew = isNew
        // RabbitMQ 3.10.8 answers a second declarer as soon as a quorum queue is recorded, with counts of 0, and ends
        // the whole connection when a consume comes before its process has started (541): all locks of this session. So
        // if a queue shows nothing, we consume only when it has confirmed a seed.
        return isNew ? [] : consume()
    }

    private mutating func bound() -> [Action] {
        guard state == .declaring, isNew else { return [] }
        // Before our seed is confirmed, for example during an alarm, another contender's token may show that the queue
        // is up.
        return seed() + [.start(.declare)]
    }

    private mutating func consume() -> [Action] {
        state = .waiting(isConfirmed: false)
        isKnown = true
        return [.stop(.declare), .consume] + (wanted == .acquire ? [.start(.seed)] : [])
    }

    private mutating func consuming() -> [Action] {
        guard case .waiting = state else { return [] }
        state = .waiting(isConfirmed: true)
        // Not before the broker has confirmed our place: the process that has the lock could release it, acquire it
        // again in front of us, and have forgotten the want †.
        let want: [Action] = mayWant ? [.start(.want)] : []
        return (wanted == .tryAcquire && seeding == nil ? [.start(.answer)] : []) + want
    }

    private mutating func seed() -> [Action] {
        guard seeding == nil else { return [] }
        seeding = attempt
        return [.publish(.seed)]
    }

    private mutating func seeded(_ outcome: Outcome) -> [Action] {
        let isOfThisAttempt = seeding == attempt
        seeding = nil
        switch (state, outcome) {
        // The seed may have been for a queue that is gone.
        case (.declaring, .arrived) where !isOfThisAttempt: return isNew ? seed() : []
        case (.declaring, .arrived): return consume()
        // A publish that comes too early ends the publish connection, which costs no lock.
        case (.declaring, .unknown), (.declaring, .unroutable): return [.start(.declare)]
        case (.waiting(isConfirmed: true), .arrived): return wanted == .tryAcquire ? [.start(.answer)] : []
        case (.waiting, .unroutable): return [.repair]
        case (.declaring, .refused(let fault)), (.waiting, .refused(let fault)):
            return refuse(fault, doing: "publishing a token")
        case (.waiting, .arrived), (.waiting, .unknown): return []
        case (.out, _), (.pausing, _), (.preparing, _), (.first, _): return []
        }
    }

    // MARK: - Leaving

    private mutating func cancel() -> [Action] {
        guard wanted != nil else { preconditionFailure("nobody to be cancelled in \(state)") }
        wanted = nil
        return leave()
    }

    private mutating func release() -> [Action] {
        switch state {
        case .first: return leave()
        // The place was already lost.
        case .out: return []
        case .pausing, .declaring, .waiting, .preparing: preconditionFailure("a release in \(state)")
        }
    }

    /// Leaves the line, and returns whatever has been delivered. Never by basic.cancel first: that makes the next
    /// consumer the active one while we still have the token †.
    private mutating func leave() -> [Action] {
        let hasChannel = state != .out && state != .pausing
        state = .out
        return hasChannel ? [.closeChannel] : [.stop(.restart)]
    }

    /// Back to the end of the line, on a new channel, a little later.
    private mutating func restart() -> [Action] { [.closeChannel] + pause() }

    private mutating func pause() -> [Action] {
        guard wanted != nil else { preconditionFailure("nobody to go back in line for in \(state)") }
        state = .pausing
        return [.start(.restart)]
    }

    private mutating func refuse(_ fault: ChannelFault, doing: String) -> [Action] {
        wanted = nil
        return leave() + [.refuse(fault, doing: doing)]
    }

    private mutating func cancelledByBroker() -> [Action] {
        isKnown = false
        switch state {
        case .out, .pausing: return []
        case .declaring, .waiting, .preparing: return restart()
        case .first: return [.lose(cancelled)] + leave()
        }
    }

    private mutating func channelClosed(_ fault: ChannelFault) -> [Action] {
        let before = state
        state = .out
        isKnown = false
        switch (before, fault.code) {
        case (.out, _): return []
        case (.first, _): return [.lose(LossReason(.channelClosed, "\(fault.code) \(fault.text)"))]
        case (_, ChannelFault.outOfChannels.code): return [.closeChannel] + refuse(fault, doing: "opening a channel")
        case (_, ChannelFault.unanswered):
            return [.trouble("the broker does not answer for the lock's queue; if that lasts, delete it")] + pause()
        // Deleted since; it is created again next time.
        case (_, ChannelFault.notFound): return pause()
        case (.declaring, _): return refuse(fault, doing: "declaring the lock's queue")
        case (.waiting(isConfirmed: false), _) where hasDeclared:
            return refuse(fault, doing: "consuming from the lock's queue")
        // The next attempt declares the queue, and learns what is in the way.
        case (.waiting, _), (.preparing, _), (.pausing, _): return pause()
        }
    }

    private mutating func elapsed(_ timer: Timer) -> [Action] {
        switch (timer, state) {
        case (.restart, .pausing): return join()
        case (.declare, .declaring):
            failures += 1
            return [.declare]
        case (.seed, .waiting):
            seedRound += 1
            return seed() + [.start(.seed)]
        case (.limit, .declaring), (.limit, .preparing): return unable()
        case (.want, .waiting): return [.publish(.want)]
        case (.answer, .waiting), (.limit, _): return contended()
        case (.preparing, .preparing(let place)): return giveUpPreparing(place)
        case (.exchange, .first(var place)):
            place.wantsExchange = true
            return publishWanted(place)
        // Confirmed but not delivered: another contender is first.
        case (.retry, .preparing(let place)) where place.isAwaiting: return restart()
        // Confirmed but not delivered, for example purged. If it comes after all, it is surplus.
        case (.retry, .first(var place)) where place.isAwaiting:
            place.giveUpAwaiting()
            failures += 1
            return publishWanted(place)
        case (.retry, .first(let place)), (.retry, .preparing(let place)): return publishWanted(place)
        case (.companion, .first(var place)):
            guard case .here(let nonce, let delivery, let count) = place.companion else { return [] }
            place.companion = .away(nonce, count: count)
            state = .first(place)
            return [.putBack(delivery)]
        case (.hold, .first):
            return [.lose(LossReason(.holdLimit, "the hold could not be renewed at the broker"))] + leave()
        case (.proof, .first):
            return [.lose(LossReason(.proofOverdue, LeaseRecord.queueIsSilent))] + leave()
        case (.restart, _), (.declare, _), (.seed, _), (.want, _), (.answer, _), (.preparing, _), (.exchange, _),
            (.retry, _), (.companion, _), (.hold, _), (.proof, _):
            preconditionFailure("the timer \(timer) in \(state)")
        }
    }

    private mutating func contended() -> [Action] { answerTry(.contended) }

    private mutating func unable() -> [Action] { answerTry(.unable) }

    private mutating func answerTry(_ answer: Action) -> [Action] {
        guard wanted == .tryAcquire else { return [] }
        wanted = nil
        // The next try declares first: if all contenders only try, nobody else would seed a queue that has lost its
        // token.
        isKnown = false
        return leave() + [answer]
    }
}

// MARK: - Being first

extension Line {
    private mutating func delivered(_ delivery: UInt64, _ redelivered: Bool, _ content: Content) -> [Action] {
        switch state {
        case .out, .pausing, .declaring: return []
        case _ where content == .want:
            isWanted = true
            return [.acknowledge(delivery)] + (isFirst ? [.wanted] : [])
        case .waiting: return deliveredToWaiter(delivery, content)
        case .preparing(let place), .first(let place):
            return deliveredToFirst(place, delivery, redelivered, content)
        }
    }

    /// Only the active consumer gets deliveries, so we are the active one.
    private mutating func deliveredToWaiter(_ delivery: UInt64, _ content: Content) -> [Action] {
        switch content {
        case .token(let nonce, let fence, let wear, _):
            let token = Token(delivery: delivery, nonce: nonce, fence: fence, wear: wear)
            let stopped: [Action] = [.stop(.seed), .stop(.want), .stop(.answer)]
            failures = 0
            return stopped + prepare(Place(token, exchangesFirst: exchangesFirst))
        // Nobody ever held it: it is forged, or from a host with a wrong clock.
        case .absurd(_, count: 0): return [.acknowledge(delivery), .report(Place.absurd)]
        case .absurd(let number, let count):
            wanted = nil
            return leave() + [.refuseAbsurd(number: number, count: count)]
        case .otherKind where !hasDeclared:
            // It is not ours to remove. The declaration will show what is there.
            isKnown = false
            return restart()
        case .companion, .want: return [.acknowledge(delivery)]
        case .otherKind, .foreign: return [.acknowledge(delivery), .report(Place.foreign)]
        }
    }

    /// The steps before the grant, one after the other. Each message is published only when all that was delivered
    /// together with the token has been examined †; the retry timer ensures that.
    private mutating func prepare(_ place: Place) -> [Action] {
        guard place.wantsExchange || provesByQueue && place.companion == nil else { return serve(place) }
        let begins = if case .preparing = state { false } else { true }
        state = .preparing(place)
        return (begins ? [.start(.preparing)] : []) + [.start(.retry)]
    }

    /// Others wait behind us, and may be able to do what we cannot. Nothing is granted now: the place may have been
    /// lost meanwhile without notice †.
    private mutating func giveUpPreparing(_ place: Place) -> [Action] {
        // The exchange can wait: the log keeps growing, but the lock keeps working.
        guard !place.wantsExchange else {
            exchangesFirst = false
            return restart()
        }
        failures += 1
        if wanted == .tryAcquire { return unable() }
        return [.trouble("the hold's proof does not come from the lock's queue")] + restart()
    }

    /// Whether nothing needed before the grant has been published yet.
    var isAboutToPrepare: Bool {
        guard failures == 0, case .preparing(let place) = state else { return false }
        return !place.isAwaiting
    }

    private mutating func serve(_ place: Place) -> [Action] {
        var place = place
        wanted = nil
        place.wantsExchange = place.token.wear != .fresh
        state = .first(place)
        let timers: [Action] =
            [.stop(.preparing), .start(.exchange), .start(.hold)] + (provesByQueue ? [.start(.companion)] : [])
        return [.serve(place.fence)] + timers + publishWanted(place)
    }

    /// Publishes what is needed and not under way.
    mutating func publishWanted(_ place: Place) -> [Action] {
        replace(place)
        if place.wantsExchange, place.exchange == nil { return [.publish(.exchange)] }
        if provesByQueue || place.needsCompanion, place.companion == nil, !place.wantsExchange {
            return [.publish(.companion)]
        }
        return []
    }

    private mutating func replace(_ place: Place) {
        state = isFirst ? .first(place) : .preparing(place)
    }

    private mutating func publishing(_ publication: Publication, _ nonce: Nonce) -> [Action] {
        guard publication == .exchange || publication == .companion else { return [] }
        switch state {
        case .preparing(var place), .first(var place):
            if publication == .exchange { place.exchange = nonce } else { place.companion = .published(nonce) }
            replace(place)
        // A grant that fails leaves the line before we know. What is published then is surplus.
        case .out, .pausing, .declaring, .waiting: break
        }
        return []
    }

    /// What was not delivered has to be published again, confirmed or not: only the delivery counts.
    private mutating func published(_ publication: Publication, _ nonce: Nonce, _ outcome: Outcome) -> [Action] {
        var place: Place
        switch state {
        case .preparing(let current), .first(let current): place = current
        case .out, .pausing, .declaring, .waiting: return []
        }
        switch publication {
        case .exchange where place.exchange == nonce: place.exchange = nil
        case .companion where place.companion == .published(nonce): place.companion = nil
        case .exchange, .companion, .seed, .want: return []
        }
        switch outcome {
        case .arrived: return [.start(.retry)]
        case .refused(let fault) where !isFirst && publication == .companion:
            return refuse(fault, doing: "publishing the hold's proof")
        case .refused where !isFirst, .unknown where !isFirst && publication == .exchange:
            return giveUpPreparing(place)
        case .unknown, .unroutable, .refused:
            failures += 1
            replace(place)
            return (outcome == .unroutable ? [.repair] : []) + [.start(.retry)]
        }
    }

    private mutating func deliveredToFirst(
        _ place: Place, _ delivery: UInt64, _ redelivered: Bool, _ content: Content
    ) -> [Action] {
        var place = place
        switch place.take(delivery, redelivered: redelivered, content) {
        case .nothing(let report):
            return [.acknowledge(delivery)] + (report.map { [.report($0)] } ?? [])
        case .lost(let why): return losePlace(why)
        // That token stays; ours goes.
        case .overtaken(let why): return losePlace(why, leaving: place.token.delivery)
        // Everything that was delivered before it has been acknowledged by now; the old token is the last †.
        case .exchanged(let old):
            failures = 0
            guard isFirst else { return [.stop(.retry), .acknowledge(old)] + prepare(place) }
            var actions: [Action] = [.stop(.retry), .acknowledge(old)]
            actions += place.exchangedForRaising()
            actions += [.start(.exchange), .start(.hold)]
            return actions + publishWanted(place)
        case .proven:
            failures = 0
            guard isFirst else { return [.stop(.retry), .proven] + prepare(place) }
            var actions: [Action] = [.stop(.retry), .proven]
            actions += place.companionCameForRaising(isKept: provesByQueue)
            state = .first(place)
            if provesByQueue { actions.append(.start(.companion)) }
            return actions
        }
    }

    /// Returns everything to the next contender.
    /// - Parameter delivery: acknowledged anyway, because it is outdated.
    private mutating func losePlace(_ why: String, leaving delivery: UInt64? = nil) -> [Action] {
        let acknowledged = delivery.map { [Action.acknowledge($0)] } ?? []
        guard isFirst else { return acknowledged + restart() }
        return [.lose(LossReason(.channelClosed, "the place in line is lost: \(why)"))] + acknowledged + leave()
    }
}
