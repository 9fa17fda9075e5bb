import MQLock
import MQLockTesting

@testable import MQLockRabbitMQ

/// Several sessions contending for one name on a simulated broker, driven by a seed: which frame travels next, who
/// wants the lock, who gives up, whose connection breaks, what an operator deletes.
struct TokenWorld {
    struct Violation: Error, CustomStringConvertible {
        let description: String
    }

    struct Faults: OptionSet {
        let rawValue: Int
        static let disconnects = Faults(rawValue: 1)
        static let lostPublishes = Faults(rawValue: 2)
        static let deletions = Faults(rawValue: 4)
        static let unanswered = Faults(rawValue: 8)
        /// Of the broker; on classic queues only, for quorum queues have on disk what they have told.
        static let crashes = Faults(rawValue: 16)
        static let all: Faults = [.disconnects, .lostPublishes, .deletions, .unanswered]
    }

    private struct Client {
        var machine = TokenMachine()
        var epoch = 0
        var attempt: UInt64?
        var held: (token: TokenMachine.Token, registerDeletions: Int)?
        var pauses: [UInt64] = []
        var confirmed: Set<UInt64> = []
        var outbox: [SimulatedBroker.Frame] = []
        var inbox: [SimulatedBroker.Reply] = []
        var verifications: [SimulatedBroker.Reply] = []
    }

    private struct Publish {
        let client: Int
        let session: Int
        let token: TokenMessage
        /// Which mint it is for; nil for a seed.
        var mint: UInt64?
        var isWanted = true
    }

    private var broker: SimulatedBroker
    private var clients: [Client]
    private var sessions: [Int]
    private var publishes: [Publish] = []
    private var random: SeededGenerator
    private let faults: Faults
    private let mutant: Bool
    private let machineMutant: TokenMachine.Mutant?
    /// A sentence broken outside the machine: a token is minted above the old one only, however late it is.
    private let mintsBelowTheClock: Bool
    private var clock: UInt64 = 1
    private var lastAttempt: UInt64 = 0
    private var lastFence: UInt64 = 0
    private(set) var grants = 0
    private(set) var abandonedInFlight = 0
    private(set) var mints = 0
    private(set) var crashes = 0

    init(
        seed: UInt64, clients count: Int, faults: Faults, mutant: Bool = false,
        durability: RabbitMQLocks.Durability = .replicated, machine: TokenMachine.Mutant? = nil,
        mintsBelowTheClock: Bool = false
    ) {
        random = SeededGenerator(seed)
        broker = SimulatedBroker(durability)
        machineMutant = machine
        self.mintsBelowTheClock = mintsBelowTheClock
        clients = Array(repeating: Client(), count: count)
        sessions = Array(repeating: 0, count: count)
        self.faults = faults
        self.mutant = mutant
        for index in clients.indices { renew(index) }
    }

    private mutating func renew(_ index: Int) {
        clients[index] = Client()
        clients[index].machine = TokenMachine(broker.durability)
        clients[index].machine.mutant = machineMutant
        clients[index].machine.mutantKeepsLateDeliveries = mutant
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
            throw Violation(description: "the lock is lost: nobody holds it and a contender is not granted it")
        }
    }

    // MARK: Steps

    private mutating func step() throws {
        clock += 1
        let index = Int.random(in: clients.indices, using: &random)
        if faults.contains(.crashes) { crashOrFlush() }
        switch Int.random(in: 0..<24, using: &random) {
        case 0..<7: carryToBroker(index)
        case 7..<14: try carryToClient(index)
        case 14..<16: try carryVerification(index)
        case 16..<18: try carryPublish()
        case 18: try firePause(index)
        case 19, 20:
            if clients[index].held != nil || clients[index].attempt != nil {
                try leave(index)
            } else {
                try acquire(index, waits: Bool.random(using: &random))
            }
        case 21 where faults.contains(.disconnects): if Bool.random(using: &random) { disconnect(index) }
        case 22 where faults.contains(.deletions): delete()
        case 23 where faults.contains(.unanswered): try giveUpChannel(index)
        default: carryToBroker(index)
        }
    }

    /// Carries everything until nothing moves.
    private mutating func settle() throws {
        for _ in 0..<1_000 {
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
                while !clients[index].verifications.isEmpty {
                    try carryVerification(index)
                    moved = true
                }
                while !clients[index].pauses.isEmpty {
                    try firePause(index)
                    moved = true
                }
            }
            while !publishes.isEmpty {
                try carryPublish(lossless: true)
                moved = true
            }
            if !moved { return }
        }
        throw Violation(description: "the clients never come to rest")
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

    private mutating func disconnect(_ index: Int) {
        // What was written may have arrived or not.
        while !clients[index].outbox.isEmpty, Bool.random(using: &random) { carryToBroker(index) }
        broker.disconnect(index)
        sessions[index] += 1
        renew(index)
        collect()
    }

    private mutating func crashOrFlush() {
        switch Int.random(in: 0..<48, using: &random) {
        case 0:
            broker.crash(&random)
            broker.outbox = []
            crashes += 1
            for index in clients.indices {
                sessions[index] += 1
                renew(index)
            }
        case 1: broker.flush()
        default: break
        }
    }

    /// A request has gone unanswered for too long: the session closes the channel for it. The broker gets to what was
    /// written before, and then to the close.
    private mutating func giveUpChannel(_ index: Int) throws {
        switch clients[index].machine.state {
        case .preparing(.pausing), .preparing(.seeding), .minting(_, .publishing), .closed, .idle, .held: return
        case .verifying, .minting(_, .claiming):
            let number = clients[index].machine.lastVerification
            return try feed(index, .verificationFailed(number, .init(code: Self.unanswered, text: "")))
        default: break
        }
        write(.closeChannel, index)
        clients[index].epoch += 1
        try feed(index, .channelClosed(.init(code: Self.unanswered, text: "")))
    }

    private static let unanswered = ChannelFault.unanswered

    private mutating func delete() {
        // Deleted at the very moment at which somebody makes first contact, the queue can be declared again without a
        // trace, and the register then names a token that is no more: the article says to delete the queue again.
        let isContacting = clients.contains { client in
            // A question or a request that its client has given up on is still under way.
            let isAsking = client.outbox.contains {
                switch $0.action {
                case .verify, .request: true
                default: false
                }
            }
            if isAsking { return true }
            switch client.machine.state {
            case .idle, .closed, .held, .preparing(.pausing): return false
            case .preparing, .pinning, .verifying, .minting: return true
            case .getting: return client.machine.validNonce == nil
            case .consuming:
                let isDelivered = client.inbox.contains { if case .delivered = $0.event { true } else { false } }
                return client.machine.validNonce == nil && isDelivered
            }
        }
        guard !isContacting else { return }
        switch Int.random(in: 0..<12, using: &random) {
        case 0: broker.deleteQueue()
        case 1: broker.deleteRegister()
        case 2:
            broker.deleteRegister()
            broker.deleteQueue()
        default: break
        }
        collect()
    }

    // MARK: The network

    private mutating func carryToBroker(_ index: Int) {
        guard !clients[index].outbox.isEmpty else { return }
        broker.receive(clients[index].outbox.removeFirst(), from: index)
        collect()
    }

    private mutating func collect() {
        for reply in broker.outbox {
            if reply.epoch == nil {
                clients[reply.client].verifications.append(reply)
            } else {
                clients[reply.client].inbox.append(reply)
            }
        }
        broker.outbox = []
    }

    private mutating func carryToClient(_ index: Int) throws {
        guard !clients[index].inbox.isEmpty else { return }
        let reply = clients[index].inbox.removeFirst()
        // For a channel that we have closed.
        guard reply.epoch == clients[index].epoch else { return }
        if case .channelClosed = reply.event { clients[index].epoch += 1 }
        if case .consumeConfirmed(.token(let tag)) = reply.event { clients[index].confirmed.insert(tag) }
        try feed(index, reply.event)
    }

    private mutating func carryVerification(_ index: Int) throws {
        guard !clients[index].verifications.isEmpty else { return }
        try feed(index, clients[index].verifications.removeFirst().event)
    }

    private mutating func carryPublish(lossless: Bool = false) throws {
        guard let at = publishes.indices.randomElement(using: &random) else { return }
        if !lossless, faults.contains(.lostPublishes), publishes[at].isWanted,
            Int.random(in: 0..<4, using: &random) == 0
        {
            // No confirm in time: the client gives up on it, and it may still arrive.
            publishes[at].isWanted = false
            return try tell(publishes[at], false)
        }
        let publish = publishes.remove(at: at)
        let arrived = broker.publish(publish.token)
        collect()
        if publish.isWanted { try tell(publish, arrived) }
    }

    private mutating func tell(_ publish: Publish, _ arrived: Bool) throws {
        guard publish.session == sessions[publish.client] else { return }
        if let mint = publish.mint {
            return try feed(publish.client, arrived ? .minted(mint, publish.token.nonce) : .mintFailed(mint))
        }
        try feed(publish.client, arrived ? .seeded(publish.token.nonce) : .seedFailed)
    }

    private mutating func firePause(_ index: Int) throws {
        guard !clients[index].pauses.isEmpty else { return }
        try feed(index, .pauseOver(clients[index].pauses.removeFirst()))
    }

    // MARK: The machine

    private mutating func feed(_ index: Int, _ event: TokenMachine.Event) throws {
        for action in clients[index].machine.handle(event) { try perform(action, index) }
    }

    private mutating func perform(_ action: TokenMachine.Action, _ index: Int) throws {
        switch action {
        case .openChannel:
            clients[index].epoch += 1
            clients[index].confirmed = []
            write(action, index)
        case .closeChannel:
            write(action, index)
            clients[index].epoch += 1
        case .cancel(let tag):
            guard clients[index].confirmed.contains(tag) else {
                throw Violation(description: "a consumer was cancelled that the broker had not confirmed")
            }
            write(action, index)
        case .request, .consume, .get, .placePin, .withdrawPin, .acknowledge, .putBack, .handOn, .verify:
            write(action, index)
        case .seed:
            clock += 1
            let token = TokenMessage(number: clock << 21, nonce: Nonce())
            publishes.append(Publish(client: index, session: sessions[index], token: token))
        case .mint(let number, let old):
            clock += 1
            mints += 1
            let above = old.message.number + 32 * UInt64(old.count) + 32
            let token = TokenMessage(number: mintsBelowTheClock ? above : max(above, clock << 21), nonce: Nonce())
            publishes.append(Publish(client: index, session: sessions[index], token: token, mint: number))
        case .pause(let number): clients[index].pauses.append(number)
        case .grant(let attempt, let token): try grant(attempt, token, index)
        case .contended(let attempt), .fail(let attempt, _, _):
            guard clients[index].attempt == attempt else { throw Violation(description: "an answer to nobody") }
            clients[index].attempt = nil
        case .lose: clients[index].held = nil
        case .report, .trouble: break
        }
    }

    private mutating func write(_ action: TokenMachine.Action, _ index: Int) {
        clients[index].outbox.append(.init(epoch: clients[index].epoch, action: action))
    }

    private mutating func grant(_ attempt: UInt64, _ token: TokenMachine.Token, _ index: Int) throws {
        guard clients[index].attempt == attempt else { throw Violation(description: "a grant to nobody") }
        clients[index].attempt = nil
        let fence = token.message.number + 32 * UInt64(token.count)
        guard fence > lastFence else { throw Violation(description: "fencing token \(fence) after \(lastFence)") }
        lastFence = fence
        for (other, client) in clients.enumerated() where other != index {
            // After an operator's deletion of the register a holder is told as fast as the network allows.
            guard let held = client.held, held.registerDeletions == broker.registerDeletions else { continue }
            throw Violation(description: "two holders, clients \(other) and \(index)")
        }
        clients[index].held = (token, broker.registerDeletions)
        grants += 1
    }
}
