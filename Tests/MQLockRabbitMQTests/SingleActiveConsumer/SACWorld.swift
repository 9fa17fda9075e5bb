import MQLock
import MQLockTesting

@testable import MQLockRabbitMQ

/// Several sessions contending for one name on a simulated broker, driven by a seed: which frame travels next, whose
/// publish arrives when, who wants the lock, who gives up, whose connection breaks.
struct SACWorld {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    struct Faults: OptionSet {
        let rawValue: Int
        static let disconnects = Faults(rawValue: 1)
        /// Publishes that nobody knows the fate of, and that may arrive at any time.
        static let lostPublishes = Faults(rawValue: 2)
        static let deletions = Faults(rawValue: 4)
        /// The broker gives the place of the active consumer to another without a word. Then there are two holders,
        /// and only the numbers tell them apart.
        static let cuts = Faults(rawValue: 8)
        static let all: Faults = [.disconnects, .lostPublishes, .deletions]
    }

    /// A sentence of the protocol that is broken outside the machine.
    enum Mutant: CaseIterable {
        /// A session publishes with the same nonce each time.
        case reusesNonce
        /// Releasing and giving up begin with basic.cancel.
        case cancelsFirst
    }

    private struct Client {
        var machine = SACMachine()
        var epoch = 0
        var attempt: Attempt?
        var held: (number: UInt64, deletions: Int)?
        var nonce = Nonce()
        var timers: [(SACMachine.Timer, UInt64)] = []
        var outbox: [(epoch: Int, frame: SimulatedSACBroker.Frame)] = []
        var inbox: [SimulatedSACBroker.Reply] = []
    }

    private struct Publish {
        let client: Int
        let session: Int
        let message: SACMessage
        var isWanted = true
    }

    private var broker = SimulatedSACBroker()
    private var clients: [Client]
    private var sessions: [Int]
    private var publishes: [Publish] = []
    private var random: SeededGenerator
    private let faults: Faults
    private let machineMutant: SACMachine.Mutant?
    private let mutant: Mutant?
    private var lastAttempt: UInt64 = 0
    private var lastNumber: UInt64 = 0
    private(set) var grants = 0
    private(set) var renewals = 0
    private(set) var abandonedInFlight = 0

    init(
        seed: UInt64, clients count: Int, faults: Faults, machine: SACMachine.Mutant? = nil, mutant: Mutant? = nil
    ) {
        random = SeededGenerator(seed)
        clients = Array(repeating: Client(), count: count)
        sessions = Array(repeating: 0, count: count)
        self.faults = faults
        machineMutant = machine
        self.mutant = mutant
        for index in clients.indices { renew(index) }
    }

    /// Takes random steps, then lets everything settle without faults, and wants the lock once more.
    mutating func run(steps: Int) throws {
        for _ in 0..<steps { try step() }
        try settle()
        for index in clients.indices { try leave(index) }
        try settle()
        try acquire(0, waits: true)
        try settle()
        guard clients[0].held != nil else {
            let state = clients[0].machine.state
            throw Violation(description: "the lock is lost: nobody holds it, and a contender is left \(state)")
        }
    }

    // MARK: Steps

    private mutating func step() throws {
        let index = Int.random(in: clients.indices, using: &random)
        switch Int.random(in: 0..<24, using: &random) {
        case 0..<6: carryToBroker(index)
        case 6..<12: try carryToClient(index)
        case 12..<16: try carryPublish()
        case 16: try fireTimer(index)
        case 17, 18:
            if clients[index].held != nil || clients[index].attempt != nil {
                try leave(index)
            } else {
                try acquire(index, waits: Int.random(in: 0..<4, using: &random) > 0)
            }
        case 19: try feed(index, .renewalDue)
        case 20 where faults.contains(.disconnects): if Bool.random(using: &random) { disconnect(index) }
        case 21 where faults.contains(.deletions):
            if Int.random(in: 0..<4, using: &random) == 0 { broker.deleteQueue() }
            collect()
        case 22 where faults.contains(.disconnects):
            if Bool.random(using: &random) { broker.closeChannel(index, ChannelFault.preconditionFailed) }
            collect()
        case 23 where faults.contains(.cuts):
            cutOff()
        default: carryToBroker(index)
        }
    }

    /// Carries everything until nothing moves; timers fire when nothing else does.
    private mutating func settle() throws {
        for _ in 0..<300 {
            var moved = false
            for index in clients.indices {
                while !clients[index].outbox.isEmpty {
                    carryToBroker(index)
                    moved = true
                }
                while !clients[index].inbox.isEmpty {
                    try carryToClient(index)
                    moved = true
                }
            }
            while !publishes.isEmpty {
                try carryPublish(lossless: true)
                moved = true
            }
            if moved { continue }
            // A waiter seeds for ever, so it is no sign of unrest that its timer is running.
            let waiting = clients.indices.filter { clients[$0].attempt != nil && !clients[$0].timers.isEmpty }
            guard !waiting.isEmpty, clients.allSatisfy({ $0.held == nil }) else { return }
            for index in waiting { try fireTimer(index) }
        }
        guard clients.contains(where: { $0.held != nil }) else {
            throw Violation(description: "contenders wait, and none of them is granted the lock")
        }
    }

    private mutating func acquire(_ index: Int, waits: Bool) throws {
        lastAttempt += 1
        clients[index].attempt = lastAttempt
        try feed(index, waits ? .acquire(lastAttempt) : .tryAcquire(lastAttempt))
    }

    /// Releases, or gives up waiting.
    private mutating func leave(_ index: Int) throws {
        if clients[index].held != nil {
            clients[index].held = nil
            try feed(index, .release)
        } else if let attempt = clients[index].attempt {
            clients[index].attempt = nil
            if !clients[index].inbox.isEmpty { abandonedInFlight += 1 }
            try feed(index, .abandon(attempt))
        }
    }

    private mutating func renew(_ index: Int) {
        // Channels of the new connection are not those of the old.
        let epoch = clients[index].epoch + 1
        clients[index] = Client()
        clients[index].epoch = epoch
        clients[index].machine.mutant = machineMutant
    }

    private mutating func disconnect(_ index: Int) {
        // What was written may have arrived or not.
        while !clients[index].outbox.isEmpty, Bool.random(using: &random) { carryToBroker(index) }
        broker.disconnect(index)
        sessions[index] += 1
        renew(index)
        collect()
    }

    private mutating func cutOff() {
        guard broker.line.count > 1, let client = broker.line.first else { return }
        broker.cutOff()
        // What was on its way to the client is lost with the link.
        clients[client].inbox.removeAll { if case .delivered = $0.event { true } else { false } }
        collect()
    }

    // MARK: The network

    private mutating func carryToBroker(_ index: Int) {
        guard !clients[index].outbox.isEmpty else { return }
        let (epoch, frame) = clients[index].outbox.removeFirst()
        broker.receive(frame, from: index, epoch: epoch)
        collect()
    }

    private mutating func collect() {
        for reply in broker.outbox { clients[reply.client].inbox.append(reply) }
        broker.outbox = []
    }

    private mutating func carryToClient(_ index: Int) throws {
        guard !clients[index].inbox.isEmpty else { return }
        let reply = clients[index].inbox.removeFirst()
        // For a channel that we have closed.
        guard reply.epoch == clients[index].epoch else { return }
        if case .channelClosed = reply.event { clients[index].epoch += 1 }
        try feed(index, reply.event)
    }

    private mutating func carryPublish(lossless: Bool = false) throws {
        guard let at = publishes.indices.randomElement(using: &random) else { return }
        // Those of one session travel over one connection.
        let first = publishes.firstIndex { $0.client == publishes[at].client && $0.session == publishes[at].session }
        let next = first ?? at
        if !lossless, faults.contains(.lostPublishes), publishes[next].isWanted,
            Int.random(in: 0..<4, using: &random) == 0
        {
            // The publish connection broke: nobody knows, and it may still arrive, after later ones too.
            publishes[next].isWanted = false
            let publish = publishes.remove(at: next)
            if Bool.random(using: &random) {
                publishes.append(Publish(client: -1, session: 0, message: publish.message, isWanted: false))
            }
            return try tell(publish, false)
        }
        let publish = publishes.remove(at: next)
        let arrived = broker.publish(publish.message)
        collect()
        if publish.isWanted { try tell(publish, arrived) }
    }

    private mutating func tell(_ publish: Publish, _ arrived: Bool) throws {
        guard publish.session == sessions[publish.client] else { return }
        let nonce = publish.message.nonce
        if publish.message.isSeed { return try feed(publish.client, .seeded) }
        try feed(publish.client, arrived ? .confirmed(nonce) : .unconfirmed(nonce))
    }

    private mutating func fireTimer(_ index: Int) throws {
        guard !clients[index].timers.isEmpty else { return }
        let (timer, number) = clients[index].timers.removeFirst()
        try feed(index, .timer(timer, number))
    }

    // MARK: The machine

    private mutating func feed(_ index: Int, _ event: SACMachine.Event) throws {
        for action in clients[index].machine.handle(event) { try perform(action, index) }
    }

    private mutating func perform(_ action: SACMachine.Action, _ index: Int) throws {
        switch action {
        case .openChannel:
            clients[index].epoch += 1
            write(.open, index)
        case .join: write(.join, index)
        case .closeChannel:
            if mutant == .cancelsFirst { write(.cancel, index) }
            write(.close, index)
            clients[index].epoch += 1
        case .acknowledge(let delivery): write(.acknowledge(delivery), index)
        case .seed:
            // As small as can be: the order of grants must not hang on the clocks of seeders, but for deletions.
            publish(SACMessage(isSeed: true, number: 1 + UInt64(broker.deletions) << 32, nonce: Nonce()), index)
        case .publish(let number):
            let nonce = mutant == .reusesNonce ? clients[index].nonce : Nonce()
            let message = SACMessage(isSeed: false, number: number + TokenNumber.step, nonce: nonce)
            try feed(index, .publishing(message))
            publish(message, index)
        case .start(let timer, let number): clients[index].timers.append((timer, number))
        case .grant(let attempt, let number, _): try grant(attempt, number, index)
        case .renewed: renewals += 1
        case .contended(let attempt), .fail(let attempt, _, _), .failFarAhead(let attempt, _):
            guard clients[index].attempt == attempt else { throw Violation(description: "an answer to nobody") }
            clients[index].attempt = nil
        case .lose: try lose(index)
        case .report, .trouble: break
        }
    }

    private mutating func publish(_ message: SACMessage, _ index: Int) {
        publishes.append(Publish(client: index, session: sessions[index], message: message))
    }

    private mutating func write(_ frame: SimulatedSACBroker.Frame, _ index: Int) {
        clients[index].outbox.append((clients[index].epoch, frame))
    }

    private mutating func lose(_ index: Int) throws {
        // Without a fault of the broker's a holder loses nothing.
        guard let held = clients[index].held else { throw Violation(description: "a loss without a hold") }
        clients[index].held = nil
        if faults.isDisjoint(with: [.cuts, .disconnects]), held.deletions == broker.deletions {
            throw Violation(description: "client \(index) lost the lock for nothing")
        }
    }

    /// Whether the broker has closed the client's channel, and the news are on their way.
    private func isBeingTold(_ client: Client) -> Bool {
        client.inbox.contains { reply in
            guard reply.epoch == client.epoch, case .channelClosed = reply.event else { return false }
            return true
        }
    }

    private mutating func grant(_ attempt: Attempt, _ number: UInt64, _ index: Int) throws {
        guard clients[index].attempt == attempt else { throw Violation(description: "a grant to nobody") }
        clients[index].attempt = nil
        // Told late of a deletion or a closed channel, a contender may be granted what is gone; it is told right after.
        let isCurrent = number >> 32 == UInt64(broker.deletions) && !isBeingTold(clients[index])
        if isCurrent {
            guard number > lastNumber else {
                throw Violation(description: "fencing token \(number) after \(lastNumber)")
            }
            lastNumber = number
        }
        if !faults.contains(.cuts), isCurrent {
            for (other, client) in clients.enumerated() where other != index {
                guard let held = client.held, held.deletions == broker.deletions, !isBeingTold(client) else { continue }
                throw Violation(description: "two holders, clients \(other) and \(index)")
            }
        }
        clients[index].held = (number, Int(number >> 32))
        grants += 1
    }
}
