import MQLock
import MQLockTesting

@testable import MQLockRabbitMQ

/// The world of the line, in which being first is to claim the exclusive queue of the name. The end of a connection is
/// several steps there, in any order.
final class ExclusiveWorld: LineWorld {
    typealias Queue = SimulatedExclusiveQueue

    /// A sentence of the protocol, broken in the world around the machine.
    enum Mutant: CaseIterable {
        /// The place in line is given up before the deletion is answered.
        case leavesBeforeTheDeletion
        /// Granted is what is declared, though the broker may not tell of its end.
        case grantsWithoutTheWatch
        /// The next contender does not wait for the own deletion.
        case ignoresTheOwnDeletion
        /// A declaration that is not wanted any more is forgotten.
        case forgetsTheOwnClaim
        /// What was not answered is taken for refused.
        case guessesAboutUnanswered

        var contenders: Int { self == .ignoresTheOwnDeletion ? 1 : 3 }

        /// One that finds it, where few do.
        var knownSeed: UInt64? { self == .ignoresTheOwnDeletion ? 17_778_971_419_788_115_656 : nil }

        var faults: Faults {
            switch self {
            case .leavesBeforeTheDeletion, .ignoresTheOwnDeletion, .forgetsTheOwnClaim: []
            case .grantsWithoutTheWatch: .deletions
            case .guessesAboutUnanswered: .channels
            }
        }
    }

    struct Claimant {
        var claim = Claim()
        var events: [Claim.Event] = []
        var timers: Set<Claim.Timer> = []
        var channel: Queue.ChannelID?
        let connection: Int
    }

    private struct Way {
        let id: Queue.ChannelID
        var frames: [Queue.Frame] = []
        var events: [Claim.Event] = []
    }

    /// What the broker has yet to do about a connection that is gone.
    private enum Ending {
        case channel(ChannelID)
        case connection(Int)
    }

    private var queue = Queue()
    private var claimants: [Claimant] = []
    private var claimWays: [Way] = []
    private var endings: [Ending] = []
    private let broken: Mutant?
    /// From a deletion of the queue on, an earlier grant binds nobody.
    private var deletions = 0
    var refusals: Int { queue.refusals }

    init(seed: UInt64, clients count: Int, faults: Faults, broken: Mutant? = nil) {
        self.broken = broken
        super.init(seed: seed, clients: count, faults: faults)
        for index in clients.indices { claimants.append(newClaimant(index)) }
    }

    private func newClaimant(_ index: Int) -> Claimant { Claimant(connection: nextChannel(index).number) }

    override func run(steps: Int) throws {
        try super.run(steps: steps)
        // No poll on the way from one holder to the next, nor any error in the broker's log.
        if faults.isSubset(of: .latePublishes), refusals > 0 {
            throw Violation(.other, "\(refusals) declarations were refused, and nobody had crashed")
        }
    }

    /// The hold goes on then, and whoever is first in line finds the queue taken.
    override var canRaise: Bool { false }
    override var canStay: Bool { false }
    override var holdsEnd: Bool { faults.contains(.cancels) }

    override func description(_ index: Int) -> String {
        "\(super.description(index)), \(claimants[index].claim.state)"
    }

    // MARK: Steps

    override func step() throws {
        let index = Int.random(in: clients.indices, using: &random)
        switch Int.random(in: 0..<40, using: &random) {
        case 0..<14: try carryClaim()
        case 14: carryEnding()
        case 15: try fireClaimTimer(index)
        default: try super.step()
        }
    }

    override func fail(_ index: Int) throws {
        switch Int.random(in: 0..<6, using: &random) {
        case 0 where faults.contains(.deletions):
            queue.free()
            deletions += 1
        case 1 where faults.contains(.disconnects):
            if let id = claimants[index].channel { queue.close(id, ChannelFault.preconditionFailed) }
        case 2 where faults.contains(.channels): try leaveClaimUnanswered(index)
        default: try super.fail(index)
        }
        collectClaims()
    }

    override func carryAll() throws -> Bool {
        var moved = try super.carryAll()
        while !claimWays.isEmpty || !endings.isEmpty {
            try carryClaim()
            carryEnding()
            moved = true
        }
        return moved
    }

    override func fireTimersOfWaiters() throws -> Bool {
        // It is due at once: it only comes after what was delivered together with the token.
        if let index = clients.indices.first(where: { clients[$0].line.isAboutToPrepare }) {
            clients[index].timers.remove(.retry)
            try feed(index, Line.Event.timer(.retry))
            return true
        }
        if faults.isEmpty, !broker.tokens.isEmpty, clients.contains(where: isInLine) {
            throw Violation(.stuck, "nobody crashed, and a waiter is not woken: \(clients.indices.map(description))")
        }
        var fired = try super.fireTimersOfWaiters()
        for index in clients.indices where !claimants[index].timers.isEmpty {
            fired = true
            try fireClaimTimer(index)
        }
        return fired
    }

    /// Not one that pauses because a timer came early, or has met a queue that had not started.
    private func isInLine(_ client: Client) -> Bool {
        guard client.wants == .acquire else { return false }
        switch client.line.state {
        case .waiting, .preparing, .first: return true
        case .out, .pausing, .declaring: return false
        }
    }

    private func fireClaimTimer(_ index: Int) throws {
        guard let timer = Claim.Timer.allCases.first(where: claimants[index].timers.contains) else { return }
        claimants[index].timers.remove(timer)
        try feed(index, claim: .timer(timer))
    }

    // MARK: Contenders

    override func acquire(_ index: Int, waits: Bool) throws {
        clients[index].wants = waits ? .acquire : .tryAcquire
        if broken == .ignoresTheOwnDeletion, claimants[index].claim.state == .deleting {
            try feed(index, claim: .deleted)
        }
        try feed(index, claim: waits ? .acquire : .tryAcquire)
    }

    override func release(_ index: Int) throws { try feed(index, claim: .release) }

    override func cancel(_ index: Int) throws {
        try feed(index, claim: .cancel)
        guard broken == .forgetsTheOwnClaim, claimants[index].claim.state == .abandoning else { return }
        try feed(index, claim: .channelClosed(ChannelFault(code: ChannelFault.notFound, text: "")))
    }

    override func served(_ index: Int, _ fence: FencingToken) throws { try feed(index, claim: .first(fence)) }

    override func placeLost(_ index: Int, _ reason: LossReason) throws { try feed(index, claim: .placeLost) }

    override func answered(_ index: Int) throws {
        try feed(index, claim: .answered)
        try super.answered(index)
    }

    // MARK: Endings

    override func disconnect(_ index: Int) {
        let gone = claimants[index].connection
        for at in claimWays.indices where claimWays[at].id.connection == gone {
            while !claimWays[at].frames.isEmpty, Bool.random(using: &random) {
                queue.receive(claimWays[at].frames.removeFirst(), on: claimWays[at].id)
            }
        }
        claimWays.removeAll { $0.id.connection == gone }
        for at in ways.indices where ways[at].id.client == index {
            while !ways[at].frames.isEmpty, Bool.random(using: &random) {
                broker.receive(ways[at].frames.removeFirst(), on: ways[at].id)
            }
        }
        endings += broker.open(of: index).map { .channel($0) } + [.connection(gone)]
        ways.removeAll { $0.id.client == index }
        for at in publishes.indices where publishes[at].client == index { publishes[at].client = nil }
        collect()
        ways.removeAll { $0.id.client == index }
        clients[index] = newClient(index)
        claimants[index] = newClaimant(index)
        collectClaims()
    }

    private func carryEnding() {
        guard let at = endings.indices.randomElement(using: &random) else { return }
        switch endings.remove(at: at) {
        case .channel(let id): broker.drop(id)
        case .connection(let connection): queue.end(connection: connection)
        }
        collect()
        collectClaims()
    }

    private func leaveClaimUnanswered(_ index: Int) throws {
        guard let id = claimants[index].channel, claimWays.contains(where: { $0.id == id }) else { return }
        claimants[index].channel = nil
        change(id) { $0.frames.append(.close) }
        let code = broken == .guessesAboutUnanswered ? ChannelFault.notFound : ChannelFault.unanswered
        try feed(index, claim: .channelClosed(ChannelFault(code: code, text: "")))
    }

    // MARK: The network

    private func change(_ id: Queue.ChannelID, _ change: (inout Way) -> Void) {
        let at = claimWays.firstIndex { $0.id == id } ?? claimWays.endIndex
        if at == claimWays.endIndex { claimWays.append(Way(id: id)) }
        change(&claimWays[at])
        if claimWays[at].frames.isEmpty, claimWays[at].events.isEmpty { claimWays.remove(at: at) }
    }

    private func carryClaim() throws {
        guard let at = claimWays.indices.randomElement(using: &random) else { return }
        let way = claimWays[at]
        if way.events.isEmpty || !way.frames.isEmpty && Bool.random(using: &random) {
            change(way.id) { $0.frames.removeFirst() }
            queue.receive(way.frames[0], on: way.id)
            return collectClaims()
        }
        change(way.id) { $0.events.removeFirst() }
        // Else for a channel that we have closed.
        guard claimants[way.id.client].channel == way.id else { return }
        if case .channelClosed = way.events[0] { claimants[way.id.client].channel = nil }
        try feed(way.id.client, claim: way.events[0])
        if broken == .grantsWithoutTheWatch, way.events[0] == .declared { try feed(way.id.client, claim: .watching) }
    }

    private func collectClaims() {
        for (id, event) in queue.outbox where claimants[id.client].connection == id.connection {
            change(id) { $0.events.append(event) }
        }
        queue.outbox = []
    }

    // MARK: The machine

    private func feed(_ index: Int, claim event: Claim.Event) throws {
        claimants[index].events.append(event)
        // What an action brings about comes after all the actions of its event.
        guard claimants[index].events.count == 1 else { return }
        while let event = claimants[index].events.first {
            for action in claimants[index].claim.handle(event) { try perform(action, index) }
            if !claimants[index].events.isEmpty { claimants[index].events.removeFirst() }
        }
    }

    private func perform(_ action: Claim.Action, _ index: Int) throws {
        switch action {
        case .joinLine(let wanted): try feed(index, wanted == .acquire ? .acquire : .tryAcquire)
        case .cancelLine: try feed(index, .cancel)
        case .leaveLine: try feed(index, .release)
        case .claim:
            if try open(index) { write(index, [.declare, .consume]) }
        case .ask: if try open(index) { write(index, [.ask]) }
        case .askWhich: write(index, [.askWhich])
        case .delete:
            guard try claimants[index].channel != nil || open(index) else { return }
            write(index, [.delete])
            if broken == .leavesBeforeTheDeletion { try feed(index, .release) }
        case .closeChannel:
            claimants[index].timers = []
            write(index, [.close])
            claimants[index].channel = nil
        case .start(let timer): claimants[index].timers.insert(timer)
        case .grant(let fence): try granted(index, fence)
        case .contended, .refuse: try super.answered(index)
        case .lose(let reason): try super.placeLost(index, reason)
        case .trouble: break
        case .endSession: disconnect(index)
        }
    }

    private func open(_ index: Int) throws -> Bool {
        claimants[index].channel = nil
        if faults.contains(.channels), !isSettling, Int.random(in: 0..<10, using: &random) == 0 {
            let isSoon = Bool.random(using: &random)
            try feed(index, claim: isSoon ? .channelUnavailable : .channelClosed(.outOfChannels))
            return false
        }
        let id = Queue.ChannelID(
            client: index, connection: claimants[index].connection, number: nextChannel(index).number)
        claimants[index].channel = id
        write(index, [.open])
        return true
    }

    private func write(_ index: Int, _ frames: [Queue.Frame]) {
        if let id = claimants[index].channel { change(id) { $0.frames += frames } }
    }

    // MARK: Checks

    /// Whether the broker has taken the queue away, and the news are on their way.
    private func isBeingNotifiedOfTheQueue(_ index: Int) -> Bool {
        guard let id = claimants[index].channel, let way = claimWays.first(where: { $0.id == id }) else { return false }
        return way.events.contains {
            switch $0 {
            case .channelClosed, .cancelledByBroker: true
            default: false
            }
        }
    }

    private func granted(_ index: Int, _ fence: FencingToken) throws {
        if !isBeingNotifiedOfTheQueue(index) {
            guard queue.owner == claimants[index].connection else {
                throw Violation(.exclusion, "client \(index) is granted a lock whose queue it does not own")
            }
            for other in clients.indices where other != index && clients[other].held != nil {
                guard !isBeingNotifiedOfTheQueue(other) else { continue }
                throw Violation(.exclusion, "two holders, clients \(other) and \(index)")
            }
        }
        try grant(index, fence, excludes: false)
    }
}
