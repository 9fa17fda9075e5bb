import MQLock
import MQLockTesting

@testable import MQLockRabbitMQ

/// Several sessions contending for one name on a simulated broker, driven by a seed: which frame travels next, whose
/// publish arrives when, who wants the lock, who gives up, whose connection breaks and what of it the broker sees first.
struct ExclusiveWorld {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    struct Faults: OptionSet {
        let rawValue: Int
        static let disconnects = Faults(rawValue: 1)
        /// Publishes that nobody knows the fate of, and that may arrive at any time.
        static let lostPublishes = Faults(rawValue: 2)
        static let deletions = Faults(rawValue: 4)
        /// Requests that are not answered in time and may be carried out at any time.
        static let unanswered = Faults(rawValue: 8)
        /// There is no channel to be had at the moment.
        static let channels = Faults(rawValue: 16)
        static let all: Faults = [.disconnects, .lostPublishes, .deletions, .unanswered, .channels]
    }

    /// A sentence of the protocol that is broken outside the machine.
    enum Mutant: CaseIterable {
        /// What was not answered is taken for refused.
        case guessesAboutUnanswered
    }

    typealias Broker = SimulatedExclusiveBroker
    typealias ChannelID = Broker.ChannelID

    struct Client {
        var machine = ExclusiveMachine()
        var connection: Int
        var channels: [Broker.Kind: ChannelID] = [:]
        var attempt: (number: UInt64, waits: Bool)?
        var held: (number: UInt64, deletions: Int)?
        var timers: [(ExclusiveMachine.Timer, UInt64)] = []
    }

    struct Publish {
        /// Nil when nobody waits for the outcome any more.
        var client: Int?
        let connection: Int
        let queue: ExclusiveMachine.Seeded
        let content: Broker.Content

        /// Whether it is what a candidate waits for, and no seed.
        var isOwn: Bool {
            guard case .number(let message) = content else { return false }
            return message.number & 0xFFFF_FFFF > 1
        }
    }

    /// What the broker has yet to do about a connection that is gone.
    private enum Ending {
        case channel(ChannelID)
        case queue(connection: Int)
    }

    var broker = Broker()
    var clients: [Client] = []
    var publishes: [Publish] = []
    private var endings: [Ending] = []
    var toBroker: [ChannelID: [Broker.Frame]] = [:]
    var toClient: [ChannelID: [Broker.Event]] = [:]
    var random: SeededGenerator
    let faults: Faults
    private let machineMutant: ExclusiveMachine.Mutant?
    private let mutant: Mutant?
    /// From here on no faults are made.
    var isSettling = false
    private var lastConnection = 0
    var lastChannel = 0
    private var lastAttempt: UInt64 = 0
    var lastNumber: UInt64 = 0
    var grants = 0
    var renewals = 0
    private(set) var abandonedInFlight = 0
    var refusals: Int { broker.refusals }

    init(
        seed: UInt64, clients count: Int, faults: Faults, machine: ExclusiveMachine.Mutant? = nil,
        mutant: Mutant? = nil
    ) {
        random = SeededGenerator(seed)
        self.faults = faults
        machineMutant = machine
        self.mutant = mutant
        for _ in 0..<count { clients.append(newClient()) }
    }

    /// Takes random steps, then lets everything settle without faults, and wants the lock once more.
    mutating func run(steps: Int) throws {
        for _ in 0..<steps { try step() }
        isSettling = true
        try settle()
        for index in clients.indices { try leave(index, forGood: true) }
        try settle()
        try acquire(0, waits: true)
        try settle()
        guard clients[0].held != nil else {
            let state = clients[0].machine.state
            throw Violation(description: "the lock is lost: nobody holds it, and a contender is left \(state)")
        }
        // No poll on the way from one holder to the next, nor any error in the broker's log.
        if faults.isEmpty, broker.refusals > 0 {
            throw Violation(description: "\(broker.refusals) declarations were refused, and nobody had crashed")
        }
    }

    // MARK: Steps

    private mutating func step() throws {
        let index = Int.random(in: clients.indices, using: &random)
        switch Int.random(in: 0..<25, using: &random) {
        case 0..<6: carryToBroker()
        case 6..<12: try carryToClient()
        case 12..<15: try carryPublish()
        case 15: carryEnding()
        case 16: try fireTimer(index)
        case 17, 18:
            if clients[index].held != nil || clients[index].attempt != nil {
                try leave(index)
            } else {
                try acquire(index, waits: Int.random(in: 0..<4, using: &random) > 0)
            }
        case 19: try feed(index, .renewalDue)
        case 20 where faults.contains(.disconnects): if Bool.random(using: &random) { disconnect(index) }
        case 21 where faults.contains(.deletions): deleteSomething()
        case 22 where faults.contains(.disconnects): closeSomeChannel(index)
        case 23 where faults.contains(.unanswered): try leaveUnanswered(index)
        default: carryToBroker()
        }
    }

    /// Carries everything until nothing moves; timers fire when nothing else does.
    private mutating func settle() throws {
        for _ in 0..<300 {
            if try carryAll() { continue }
            // A waiter seeds for ever, so it is no sign of unrest that its timer is running.
            let waiting = clients.indices.filter { !clients[$0].machine.isQuiet && !clients[$0].timers.isEmpty }
            guard !waiting.isEmpty, clients.allSatisfy({ $0.held == nil }) else { return try checkHeld() }
            if faults.isEmpty, broker.hasBeenSeeded, clients.contains(where: { $0.attempt?.waits == true }) {
                throw Violation(description: "nobody crashed, and a waiter is not woken")
            }
            for index in waiting { try fireTimer(index) }
        }
        try checkHeld()
    }

    private func checkHeld() throws {
        let waits = clients.contains { $0.attempt?.waits == true }
        guard !waits || clients.contains(where: { $0.held != nil }) else {
            throw Violation(description: "contenders wait, and none of them is granted the lock")
        }
    }

    private mutating func carryAll() throws -> Bool {
        var moved = false
        while !toBroker.isEmpty {
            carryToBroker()
            moved = true
        }
        while !endings.isEmpty {
            carryEnding()
            moved = true
        }
        while !toClient.isEmpty {
            try carryToClient()
            moved = true
        }
        while !publishes.isEmpty {
            try carryPublish(lossless: true)
            moved = true
        }
        return moved
    }

    private mutating func acquire(_ index: Int, waits: Bool) throws {
        lastAttempt += 1
        clients[index].attempt = (lastAttempt, waits)
        try feed(index, waits ? .acquire(lastAttempt) : .tryAcquire(lastAttempt))
    }

    /// Releases, or gives up waiting.
    private mutating func leave(_ index: Int, forGood: Bool = false) throws {
        if clients[index].held != nil {
            clients[index].held = nil
            // The local clock may have ended the lease first; then the next contender of the process comes upon it.
            if !forGood, Int.random(in: 0..<4, using: &random) == 0 { return try acquire(index, waits: true) }
            try feed(index, .release)
        } else if let attempt = clients[index].attempt {
            clients[index].attempt = nil
            if clients[index].channels.values.contains(where: { toClient[$0] != nil }) {
                abandonedInFlight += 1
            }
            try feed(index, .abandon(attempt.number))
        }
    }

    // MARK: Faults

    private mutating func newClient() -> Client {
        lastConnection += 1
        var client = Client(connection: lastConnection)
        client.machine.mutant = machineMutant
        return client
    }

    mutating func disconnect(_ index: Int) {
        let client = clients[index]
        // What was written may have arrived or not; what the broker sends does not arrive.
        for id in Set(toBroker.keys).union(client.channels.values).sorted(by: { $0.number < $1.number })
        where id.connection == client.connection {
            while toBroker[id] != nil, Bool.random(using: &random) { carry(id) }
            toBroker[id] = nil
            endings.append(.channel(id))
        }
        endings.append(.queue(connection: client.connection))
        for id in toClient.keys where id.connection == client.connection { toClient[id] = nil }
        for at in publishes.indices where publishes[at].connection == client.connection { publishes[at].client = nil }
        clients[index] = newClient()
    }

    private mutating func deleteSomething() {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: broker.delete(.line)
        case 1: broker.delete(.register)
        case 2: broker.deleteQueue()
        default: break
        }
        collect()
    }

    private mutating func closeSomeChannel(_ index: Int) {
        guard let id = pick(clients[index].channels.values), Bool.random(using: &random) else { return }
        broker.close(id, ChannelFault.preconditionFailed)
        collect()
    }

    /// The session closes a channel on which something was not answered in time, whatever that may still become.
    private mutating func leaveUnanswered(_ index: Int) throws {
        guard let id = pick(clients[index].channels.values),
            toBroker[id] != nil || toClient[id] != nil
        else { return }
        clients[index].channels[id.kind] = nil
        toBroker[id, default: []].append(.close)
        let code = mutant == .guessesAboutUnanswered ? ChannelFault.notFound : ChannelFault.unanswered
        try feed(index, .channelClosed(id.kind, ChannelFault(code: code, text: "")))
    }

    // MARK: The network

    private mutating func pick(_ channels: some Sequence<ChannelID>) -> ChannelID? {
        // In an order that the seed decides, not the hash.
        channels.sorted { $0.number < $1.number }.randomElement(using: &random)
    }

    private mutating func carryToBroker() {
        if let id = pick(toBroker.keys) { carry(id) }
    }

    private mutating func carry(_ id: ChannelID) {
        guard let frame = toBroker.next(id) else { return }
        broker.receive(frame, on: id)
        collect()
    }

    private mutating func carryEnding() {
        guard let at = endings.indices.randomElement(using: &random) else { return }
        switch endings.remove(at: at) {
        case .channel(let id): broker.drop(id)
        case .queue(let connection): broker.drop(connection: connection)
        }
        collect()
    }

    private mutating func collect() {
        for (id, event) in broker.outbox where clients.contains(where: { $0.connection == id.connection }) {
            toClient[id, default: []].append(event)
        }
        broker.outbox = []
    }

    private mutating func carryToClient() throws {
        guard let id = pick(toClient.keys), let event = toClient.next(id),
            let index = clients.firstIndex(where: { $0.connection == id.connection }),
            // Else for a channel that we have closed.
            clients[index].channels[id.kind] == id
        else { return }
        if case .channelClosed = event { clients[index].channels[id.kind] = nil }
        try feed(index, event)
    }

    private mutating func carryPublish(lossless: Bool = false) throws {
        guard let at = publishes.indices.randomElement(using: &random) else { return }
        // Those of one session travel over one connection.
        let next = publishes.firstIndex { $0.connection == publishes[at].connection } ?? at
        let publish = publishes.remove(at: next)
        if !lossless, faults.contains(.lostPublishes), publish.client != nil,
            Int.random(in: 0..<4, using: &random) == 0
        {
            // The publish connection broke: nobody knows, and it may still arrive, after later ones too.
            if Bool.random(using: &random) {
                publishes.append(
                    Publish(client: nil, connection: -Int(grants) - 1, queue: publish.queue, content: publish.content))
            }
            return try tell(publish, false)
        }
        let arrived = broker.publish(publish.content, to: publish.queue)
        collect()
        try tell(publish, arrived)
    }

    private mutating func tell(_ publish: Publish, _ arrived: Bool) throws {
        guard let client = publish.client else { return }
        guard publish.isOwn, case .number(let message) = publish.content else {
            return try feed(client, .seeded(publish.queue))
        }
        try feed(client, arrived ? .confirmed(message.nonce) : .unconfirmed(message.nonce))
    }

    private mutating func fireTimer(_ index: Int) throws {
        guard !clients[index].timers.isEmpty else { return }
        let (timer, number) = clients[index].timers.removeFirst()
        try feed(index, .timer(timer, number))
    }
}

extension Dictionary where Value: RangeReplaceableCollection {
    /// Takes the first of what is on its way there; nothing is left of a way that is empty.
    fileprivate mutating func next(_ key: Key) -> Value.Element? {
        guard var values = self[key] else { return nil }
        let first = values.removeFirst()
        self[key] = values.isEmpty ? nil : values
        return first
    }
}
