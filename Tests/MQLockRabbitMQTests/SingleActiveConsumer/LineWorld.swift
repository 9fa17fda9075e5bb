import MQLock
import MQLockTesting

@testable import MQLockRabbitMQ

/// Several sessions contending for one name on a simulated broker, driven by a seed: which frame travels next, whose
/// publish arrives when, who wants the lock, who gives up, whose connection breaks.
class LineWorld {
    typealias Broker = SimulatedLineBroker
    typealias ChannelID = Broker.ChannelID
    typealias Message = Broker.Message

    struct Violation: Error, CustomStringConvertible {
        enum Kind { case order, exclusion, proof, raise, loss, stuck, surplus, early, want, other }

        let kind: Kind
        let description: String

        init(_ kind: Kind, _ description: String) {
            (self.kind, self.description) = (kind, description)
        }
    }

    struct Faults: OptionSet {
        let rawValue: Int
        /// Of connections, and of channels that the broker closes.
        static let disconnects = Faults(rawValue: 1)
        /// Publishes that nobody knows the fate of, and that may arrive at any time.
        static let latePublishes = Faults(rawValue: 2)
        static let deletions = Faults(rawValue: 4)
        /// The broker gives the place of the active consumer to another without a word. Then there are two holders, and
        /// only the fences tell them apart.
        static let cuts = Faults(rawValue: 8)
        /// Messages that are ready are dropped: all of them, or the first by a policy.
        static let purges = Faults(rawValue: 16)
        /// Consumers that the broker cancels.
        static let cancels = Faults(rawValue: 32)
        /// The broker reads no publishes for a while.
        static let alarms = Faults(rawValue: 64)
        /// There is no channel to be had at the moment, or at all; and requests that are not answered.
        static let channels = Faults(rawValue: 128)
        /// The exchange or the binding is gone, or publishing is forbidden for a while; and messages that are none of ours.
        static let refusals = Faults(rawValue: 256)
        static let all = Faults(rawValue: 511)
    }

    struct Client {
        var line: Line
        var events: [Line.Event] = []
        var timers: Set<Line.Timer> = []
        var channel: ChannelID?
        /// What was delivered on the channel, by tag.
        var deliveries: [UInt64: Message] = [:]
        /// The first token that was.
        var first: Message?
        var wants: Line.Wanted?
        var held: FencingToken?
        /// Of the broker's grant that this client has, held or kept.
        var stay: Stay?
        /// Its want is sent already (a mutant's).
        var hasAsked = false
        /// What it wants the number raised above, while it waits for that.
        var raising: UInt64?
        /// The broker has given its place away, and it was not told.
        var hasLostPlace = false
        /// What had happened when the companion was sent.
        var sent: (grants: Int, vanishings: Int) = (0, 0)
        /// With a token that is put back to renew it (a mutant's): which.
        var nacked: Nonce?
        let nonce: Nonce
    }

    struct Publish {
        /// Nil when nobody waits for the outcome any more.
        var client: Int?
        let publication: Line.Publication
        let message: Message
    }

    /// What travels on one channel, in order each way.
    struct Way {
        let id: ChannelID
        var frames: [Broker.Frame] = []
        var replies: [Broker.Reply] = []
    }

    var broker = Broker()
    var clients: [Client] = []
    var publishes: [Publish] = []
    var ways: [Way] = []
    var random: SeededGenerator
    let faults: Faults
    let mutant: LineMutant?
    /// Whether each client proves its holds by the queue.
    let provesByQueue: [Bool]
    /// Whether numbers are as small as can be: the order must not hang on the clocks, but for a token that vanishes.
    let isSkewed: Bool
    /// From how many returns on a token is.
    let wearing: (worn: Int64, wornOut: Int64)
    var isAlarmed = false
    /// From here on no faults are made.
    var isSettling = false
    var clock: UInt64 = 1
    var lastNumber = 0
    var largest: [UInt64]
    /// Of grants in line: by whom, the largest fence, and the last of each token.
    var grantees: [Int] = []
    var lastFence: UInt64 = 0
    var fences: [Nonce: UInt64] = [:]
    /// Tokens that another's vanishing has made the first, maybe: they can be below what was granted before.
    var orphaned: Set<Nonce> = []
    var vanishings = 0
    /// What later grants have to be above, and what had vanished when that was confirmed.
    var raised: (fence: UInt64, vanishings: Int)?
    var raises = 0
    var grants = 0
    var localGrants = 0
    /// The fence of each client's last grant by the broker; it outlives sessions.
    var lastServed: [FencingToken?]
    /// Whether released locks are kept at all.
    let isSticky: Bool
    var proofs = 0
    var exchanges = 0
    var abandonedInFlight = 0

    init(seed: UInt64, clients count: Int, faults: Faults, mutant: LineMutant? = nil) {
        random = SeededGenerator(seed)
        self.faults = faults
        self.mutant = mutant
        var proves: [Bool] = []
        for _ in 0..<count { proves.append(Bool.random(using: &random)) }
        provesByQueue = proves
        wearing = Bool.random(using: &random) ? (3, 6) : (1, 2)
        let skews = Bool.random(using: &random)
        isSkewed = skews && faults.isDisjoint(with: [.cuts, .purges, .deletions])
        largest = Array(repeating: 0, count: count)
        lastServed = Array(repeating: nil, count: count)
        isSticky = mutant.map(\.sticks) ?? Bool.random(using: &random)
        broker.nacksToFront = Bool.random(using: &random)
        broker.returnsBehind = mutant == .returnsBehind
        let prefetch = Bool.random(using: &random) ? 3 : 8
        broker.prefetch = { $0 == 0 && mutant == .differsInPrefetch ? 2 : prefetch }
        for index in 0..<count { clients.append(newClient(index)) }
    }

    /// Whether the mutex keeps released locks.
    var canStay: Bool { true }

    /// Whether holders raise the number.
    var canRaise: Bool { true }

    /// Whether a token can be held for longer than it may.
    var holdsEnd: Bool { true }

    func newClient(_ index: Int) -> Client {
        Client(line: Line(provesByQueue: provesByQueue[index], sendsWants: isSticky), nonce: nextNonce())
    }

    /// Takes random steps, then lets everything settle without faults, and wants the lock once more.
    func run(steps: Int) throws {
        for _ in 0..<steps { try step() }
        (isSettling, isAlarmed) = (true, false)
        try settle()
        for index in clients.indices { try leave(index) }
        try settle()
        // Whoever tries again and again gets it, as whoever waits.
        let waits = Bool.random(using: &random)
        // What an earlier cut, or a token that vanished, has left in the queue may cost who is first its place once more.
        let leavesNothing = faults.isDisjoint(with: [.cuts, .deletions, .purges])
        for _ in 0..<(waits ? leavesNothing ? 1 : 3 : 6) where clients[0].held == nil {
            try acquire(0, waits: waits)
            try settle()
        }
        guard clients[0].held != nil else {
            throw Violation(.stuck, "the lock is lost: nobody holds it, and \(description(0))")
        }
        guard broker.tokens.count == 1 else {
            throw Violation(.surplus, "\(broker.tokens.count) tokens are left beside a holder")
        }
    }

    func description(_ index: Int) -> String { "client \(index) is \(clients[index].line.state)" }

    // MARK: Steps

    func step() throws {
        clock += 1
        let index = Int.random(in: clients.indices, using: &random)
        switch Int.random(in: 0..<28, using: &random) {
        case 0..<14: try carry()
        case 14..<16: try carryPublish()
        case 16, 17:
            if isSticky, Int.random(in: 0..<8, using: &random) == 0, mutant != .keepsForEver { try endStay(index) }
            try fireTimer(index)
        case 18, 19:
            if clients[index].held != nil || clients[index].wants != nil {
                let held = clients[index].held != nil
                try leave(index)
                // Only a client that comes again at once is granted the lock twice in a row.
                if held, isSticky, Int.random(in: 0..<4, using: &random) > 0 { try acquire(index, waits: true) }
            } else {
                try acquire(index, waits: Int.random(in: 0..<4, using: &random) > 0)
            }
        case 20: broker.start()
        case 21..<25: try fail(index)
        case 26, 27: try raise(index)
        default: try carry()
        }
        try checkWants()
    }

    private static let made: [Faults] = [
        .disconnects, .deletions, .cuts, .purges, .cancels, .alarms, .channels, .refusals,
    ]

    /// One of the faults, maybe.
    func fail(_ index: Int) throws {
        guard Bool.random(using: &random),
            let fault = Self.made.filter({ faults.contains($0) }).randomElement(using: &random)
        else { return }
        let isRare = Int.random(in: 0..<4, using: &random) == 0
        switch fault {
        case .disconnects:
            if Bool.random(using: &random) {
                disconnect(index)
            } else if let id = clients[index].channel {
                broker.close(id, ChannelFault.preconditionFailed)
            }
        case .deletions where isRare:
            vanish()
            broker.delete()
        case .cuts: cutOff()
        case .purges where isRare:
            vanish()
            if Bool.random(using: &random) { broker.purge() } else { broker.dropFirst() }
        case .cancels: if let id = clients[index].channel { broker.cancelConsumer(id) }
        case .alarms: isAlarmed.toggle()
        case .channels: try leaveUnanswered(index)
        case .refusals where isRare: broker.unbind()
        case .refusals: publishForeign()
        default: break
        }
        collect()
    }

    /// Carries everything until nothing moves; timers fire when nothing else does.
    func settle() throws {
        for _ in 0..<300 {
            if try carryAll() { continue }
            // A waiter seeds for ever, so it is no sign of unrest that its timer is running.
            guard clients.allSatisfy({ $0.held == nil }) else { break }
            let isAsked = try askKeeper()
            guard try isAsked || fireTimersOfWaiters() else { break }
        }
        guard clients.allSatisfy({ $0.wants == nil }) || clients.contains(where: { $0.held != nil }) else {
            throw Violation(.stuck, "contenders wait, and none is granted: \(clients.indices.map(description))")
        }
    }

    func carryAll() throws -> Bool {
        guard !ways.isEmpty || !publishes.isEmpty || broker.exists && !broker.isUp else { return false }
        while !ways.isEmpty { try carry() }
        broker.start()
        while !publishes.isEmpty { try carryPublish() }
        return true
    }

    /// The one that is due first, of each.
    func fireTimersOfWaiters() throws -> Bool {
        var fired = false
        for index in clients.indices where clients[index].wants != nil {
            let order: [Line.Timer] = [.restart, .declare, .retry, .answer, .seed, .limit]
            guard let timer = order.first(where: clients[index].timers.contains) else { continue }
            fired = true
            clients[index].timers.remove(timer)
            try feed(index, .timer(timer))
        }
        return fired
    }

    // MARK: Contenders

    func acquire(_ index: Int, waits: Bool) throws {
        clients[index].wants = waits ? .acquire : .tryAcquire
        if try acquireLocally(index) { return }
        try feed(index, waits ? .acquire : .tryAcquire)
    }

    /// Releases, or gives up waiting.
    func leave(_ index: Int) throws {
        if clients[index].held != nil {
            (clients[index].held, clients[index].raising) = (nil, nil)
            if !keep(index) { try release(index) }
        } else if clients[index].wants != nil {
            clients[index].wants = nil
            if isBeingServed(index) { abandonedInFlight += 1 }
            try cancel(index)
        }
    }

    private func raise(_ index: Int) throws {
        guard canRaise, let held = clients[index].held, clients[index].raising == nil else { return }
        _ = clients[index].stay?.close()
        clients[index].raising = held.rawValue + UInt64.random(in: 0...100, using: &random) * TokenNumber.step
        try feed(index, .raise)
    }

    func release(_ index: Int) throws { try feed(index, .release) }
    func cancel(_ index: Int) throws { try feed(index, .cancel) }

    /// First in line. Now and then the proof of life is over by then, and the contender goes back in line.
    func served(_ index: Int, _ fence: FencingToken) throws {
        guard isSettling || Int.random(in: 0..<20, using: &random) > 0 else {
            try feed(index, .release)
            if clients[index].wants == .acquire { return try feed(index, .acquire) }
            return try answered(index)
        }
        if provesByQueue[index] { clients[index].timers.insert(.proof) }
        try grant(index, fence)
        beginStay(index, fence)
    }

    func placeLost(_ index: Int, _ reason: LossReason) throws {
        let isKept = clients[index].stay?.state == .kept
        guard clients[index].held != nil || isKept else { throw Violation(.other, "a loss without a hold") }
        clients[index].stay = nil
        (clients[index].held, clients[index].raising) = (nil, nil)
        guard reason.kind != .holdLimit, reason.kind != .proofOverdue else { return }
        if faults.isDisjoint(with: [.cuts, .disconnects, .deletions, .cancels, .channels]) {
            throw Violation(.loss, "client \(index) lost the lock for nothing: \(reason)")
        }
    }

    /// Contended, or refused.
    func answered(_ index: Int) throws {
        guard clients[index].wants != nil else { throw Violation(.other, "an answer to nobody") }
        clients[index].wants = nil
    }

    // MARK: Endings

    func disconnect(_ index: Int) {
        // What was written may have arrived or not.
        for at in ways.indices where ways[at].id.client == index {
            while !ways[at].frames.isEmpty, Bool.random(using: &random) {
                broker.receive(ways[at].frames.removeFirst(), on: ways[at].id)
            }
        }
        for id in broker.open(of: index) { broker.drop(id) }
        ways.removeAll { $0.id.client == index }
        for at in publishes.indices where publishes[at].client == index { publishes[at].client = nil }
        collect()
        ways.removeAll { $0.id.client == index }
        let stay = clients[index].stay
        clients[index] = newClient(index)
        if mutant == .keepsPastTheProof, stay?.state == .kept { clients[index].stay = stay }
    }
}
