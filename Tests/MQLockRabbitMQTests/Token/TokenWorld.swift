import MQLock
import MQLockTesting

@testable import MQLockRabbitMQ

/// Several sessions contending for one name on a simulated broker, driven by a seed: which frame travels next, who
/// wants the lock, who gives up, whose connection breaks, what an operator deletes.
struct TokenWorld {
    struct Violation: Error, CustomStringConvertible { let description: String }

    struct Faults: OptionSet {
        let rawValue: Int
        static let disconnects = Faults(rawValue: 1)
        static let lostPublishes = Faults(rawValue: 2)
        /// Of the queue, of the register, or of both.
        static let deletions = Faults(rawValue: 4)
        static let unanswered = Faults(rawValue: 8)
        /// The ready token is gone without a trace.
        static let purges = Faults(rawValue: 16)
        /// A lock is mended whose token is out, and not gone: somebody holds longer than anybody may.
        static let hastyHealing = Faults(rawValue: 32)
        /// There is no channel to be had at the moment, or at all.
        static let channels = Faults(rawValue: 64)
        static let all = Faults(rawValue: 127)
    }

    /// A sentence of the protocol, broken in the world around the machine.
    enum Mutant: CaseIterable {
        /// What comes to a consumer that has been cancelled is kept.
        case keepsLateDeliveries
        /// A lock whose token is gone is not mended.
        case neverHeals
        /// A holder is not told that the register is gone.
        case ignoresThePin
        /// Any token is valid.
        case asksNoRegister
        /// The number in the message is the fence.
        case ignoresTheCount
        /// A waiter always finds itself alone.
        case overlooksOthers

        var faults: Faults {
            switch self {
            case .keepsLateDeliveries, .ignoresTheCount, .overlooksOthers: []
            case .neverHeals: .purges
            case .ignoresThePin: .hastyHealing
            case .asksNoRegister: [.lostPublishes, .disconnects]
            }
        }
    }

    private struct Client {
        var machine = TokenMachine()
        var events: [TokenMachine.Event] = []
        var epoch = 0
        var wants: TokenMachine.Wanted?
        var held: TokenMachine.Token?
        var timers: Set<TokenMachine.Timer> = []
        var confirmed: Set<UInt64> = []
        var verification: UInt64 = 0
        var outbox: [SimulatedBroker.Frame] = []
        var inbox: [SimulatedBroker.Reply] = []
        var verifications: [SimulatedBroker.Reply] = []
    }

    private struct Publish {
        let client: Int
        let session: Int
        let token: TokenMessage
        var isWanted = true
    }

    private var broker = SimulatedBroker()
    private var clients: [Client]
    private var sessions: [Int]
    private var publishes: [Publish] = []
    private var random: SeededGenerator
    private let faults: Faults
    private let mutant: Mutant?
    private var isSettling = false
    private var clock: UInt64 = 1
    private var lastNonce = 0
    private var lastFence: UInt64 = 0
    private var fences: [Nonce: UInt64] = [:]
    /// Tokens that were there or under way when the register was deleted: one of them may become the valid one.
    private var orphaned: Set<Nonce> = []
    private(set) var grants = 0
    private(set) var heals = 0
    private(set) var abandonedInFlight = 0

    init(seed: UInt64, clients count: Int, faults: Faults, mutant: Mutant? = nil) {
        random = SeededGenerator(seed)
        (clients, sessions) = (Array(repeating: Client(), count: count), Array(repeating: 0, count: count))
        (self.faults, self.mutant) = (faults, mutant)
    }

    /// Takes random steps, then lets everything settle without faults, and wants the lock once more.
    mutating func run(steps: Int) throws {
        for _ in 0..<steps { try step() }
        isSettling = true
        try settle()
        for index in clients.indices { try leave(index) }
        try settle()
        try acquire(0, waits: true)
        try settle()
        guard clients[0].held != nil else {
            throw Violation(description: "the lock is lost, and a contender is left \(clients[0].machine.state)")
        }
    }

    // MARK: Steps

    private mutating func step() throws {
        clock += 1
        let index = Int.random(in: clients.indices, using: &random)
        switch Int.random(in: 0..<26, using: &random) {
        case 0..<7: carryToBroker(index)
        case 7..<14: try carryToClient(index)
        case 14..<16: try carryVerification(index)
        case 16..<18: try carryPublish()
        case 18: try fire(.pause, index)
        case 19, 20:
            if clients[index].held != nil || clients[index].wants != nil {
                try leave(index)
            } else {
                try acquire(index, waits: Bool.random(using: &random))
            }
        case 21 where faults.contains(.disconnects): if Bool.random(using: &random) { disconnect(index) }
        case 22 where faults.contains(.deletions): delete()
        case 23 where faults.contains(.unanswered): try giveUpChannel(index)
        case 24 where faults.contains(.purges): if Bool.random(using: &random) { broker.purge() }
        case 25 where faults.contains(.hastyHealing):
            if let waiter = clients.firstIndex(where: { $0.timers.contains(.heal) }) { try fire(.heal, waiter) }
        default: carryToBroker(index)
        }
    }

    /// Carries everything until nothing moves; a lock whose token is gone is mended when nothing else does.
    private mutating func settle() throws {
        var looks = 0
        for _ in 0..<1_000 {
            if try carryAll() { continue }
            // Two looks are far apart, so everything arrives between them.
            if looks < 4, clients.contains(where: { $0.timers.contains(.look) }) {
                looks += 1
                for index in clients.indices { try fire(.look, index) }
                continue
            }
            guard clients.allSatisfy({ $0.held == nil }) else { break }
            let waiter = clients.firstIndex { $0.wants != nil && $0.timers.contains(.heal) }
            guard let waiter, mutant != .neverHeals else { break }
            guard !faults.isDisjoint(with: [.purges, .deletions, .hastyHealing]) else {
                throw Violation(description: "nothing has happened to the token, and a waiter is not woken")
            }
            try fire(.heal, waiter)
        }
        guard clients.count(where: { $0.held != nil }) < 2 else {
            throw Violation(description: "two hold, and everybody has been told everything")
        }
        guard clients.allSatisfy({ $0.wants == nil }) || clients.contains(where: { $0.held != nil }) else {
            throw Violation(description: "contenders wait, and none is granted: \(clients.map(\.machine.state))")
        }
    }

    private mutating func carryAll() throws -> Bool {
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
            while clients[index].timers.contains(.pause) {
                try fire(.pause, index)
                moved = true
            }
        }
        while !publishes.isEmpty {
            try carryPublish()
            moved = true
        }
        return moved
    }

    private mutating func acquire(_ index: Int, waits: Bool) throws {
        clients[index].wants = waits ? .acquire : .tryAcquire
        try feed(index, waits ? .acquire : .tryAcquire)
    }

    /// Releases, or gives up waiting.
    private mutating func leave(_ index: Int) throws {
        if clients[index].held != nil {
            clients[index].held = nil
            try feed(index, .release)
        } else if clients[index].wants != nil {
            clients[index].wants = nil
            if !clients[index].inbox.isEmpty { abandonedInFlight += 1 }
            try feed(index, .cancel)
        }
    }

    private mutating func disconnect(_ index: Int) {
        // What was written may have arrived or not.
        while !clients[index].outbox.isEmpty, Bool.random(using: &random) { carryToBroker(index) }
        broker.disconnect(index)
        sessions[index] += 1
        clients[index] = Client()
        collect()
    }

    /// A request has gone unanswered for too long: the session closes the channel for it. The broker gets to what was
    /// written before, and then to the close.
    private mutating func giveUpChannel(_ index: Int) throws {
        let fault = ChannelFault(code: ChannelFault.unanswered, text: "")
        switch clients[index].machine.state {
        case .pausing, .closed, .idle, .held: return
        case .verifying: return try feed(index, .verificationFailed(clients[index].verification, fault))
        case .preparing, .getting, .consuming, .pinning: break
        }
        write(.closeChannel, index)
        clients[index].epoch += 1
        try feed(index, .channelClosed(fault))
    }

    private mutating func delete() {
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
        if broker.register == nil {
            orphaned.formUnion(broker.tokens)
            orphaned.formUnion(publishes.map(\.token.nonce))
        }
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
        // Else for a channel that we have closed.
        guard reply.epoch == clients[index].epoch else { return }
        if case .channelClosed = reply.event { clients[index].epoch += 1 }
        if case .consumeConfirmed(.token(let tag)) = reply.event { clients[index].confirmed.insert(tag) }
        if mutant == .ignoresThePin, reply.event == .cancelledByBroker(.pin) { return }
        if mutant == .overlooksOthers, case .pinned = reply.event { return try feed(index, .pinned(1)) }
        try feed(index, reply.event)
    }

    private mutating func carryVerification(_ index: Int) throws {
        guard !clients[index].verifications.isEmpty else { return }
        try feed(index, clients[index].verifications.removeFirst().event)
    }

    private mutating func carryPublish() throws {
        guard let at = publishes.indices.randomElement(using: &random) else { return }
        if !isSettling, faults.contains(.lostPublishes), publishes[at].isWanted,
            Int.random(in: 0..<4, using: &random) == 0
        {
            // No confirm in time: the client gives up on it, and it may still arrive.
            publishes[at].isWanted = false
            return try tell(publishes[at], .unknown)
        }
        let publish = publishes.remove(at: at)
        let arrived = broker.publish(publish.token)
        collect()
        if publish.isWanted { try tell(publish, arrived ? .arrived : .unroutable) }
    }

    private mutating func tell(_ publish: Publish, _ outcome: TokenMachine.Outcome) throws {
        guard publish.session == sessions[publish.client] else { return }
        try feed(publish.client, .seeded(publish.token.nonce, outcome))
    }

    private mutating func fire(_ timer: TokenMachine.Timer, _ index: Int) throws {
        guard clients[index].timers.remove(timer) != nil else { return }
        if timer == .heal { heals += 1 }
        try feed(index, .timer(timer))
    }

    // MARK: The machine

    private mutating func feed(_ index: Int, _ event: TokenMachine.Event) throws {
        clients[index].events.append(event)
        // What an action brings about comes after all the actions of its event.
        guard clients[index].events.count == 1 else { return }
        while let event = clients[index].events.first {
            for action in clients[index].machine.handle(event) { try perform(action, index) }
            if !clients[index].events.isEmpty { clients[index].events.removeFirst() }
        }
    }

    private mutating func perform(_ action: TokenMachine.Action, _ index: Int) throws {
        switch action {
        case .openChannel:
            clients[index].epoch += 1
            clients[index].confirmed = []
            if faults.contains(.channels), !isSettling, Int.random(in: 0..<10, using: &random) == 0 {
                let isSoon = Bool.random(using: &random)
                return try feed(index, isSoon ? .channelUnavailable : .channelClosed(.outOfChannels))
            }
            write(action, index)
        case .closeChannel:
            clients[index].timers.subtract([.heal, .look])
            write(action, index)
            clients[index].epoch += 1
        case .cancel(let tag):
            guard clients[index].confirmed.contains(tag) else {
                throw Violation(description: "a consumer was cancelled that the broker had not confirmed")
            }
            write(action, index)
        case .putBack where mutant == .keepsLateDeliveries && clients[index].machine.state == .idle: break
        case .verify(let number, _) where mutant == .asksNoRegister: try feed(index, .verified(number))
        case .verify(let number, _), .identify(let number):
            clients[index].verification = number
            write(action, index)
        case .request, .consume, .get, .placePin, .acknowledge, .putBack, .count, .countPins: write(action, index)
        case .seed:
            clock += 1
            let token = TokenMessage(number: clock << 21, nonce: nextNonce())
            publishes.append(Publish(client: index, session: sessions[index], token: token))
        case .start(.pause): clients[index].timers.insert(.pause)
        case .start(.heal): clients[index].timers.insert(.heal)
        case .start(.look): clients[index].timers.insert(.look)
        case .stop(let timer): clients[index].timers.remove(timer)
        case .grant(let token): try grant(token, index)
        case .contended, .refuse:
            guard clients[index].wants != nil else { throw Violation(description: "an answer to nobody") }
            clients[index].wants = nil
        case .lose: try lose(index)
        case .report, .trouble: break
        }
    }

    private mutating func write(_ action: TokenMachine.Action, _ index: Int) {
        clients[index].outbox.append(.init(epoch: clients[index].epoch, action: action))
    }

    private mutating func nextNonce() -> Nonce {
        lastNonce += 1
        return .numbered(lastNonce)
    }

    // MARK: Checks

    private mutating func lose(_ index: Int) throws {
        guard clients[index].held != nil else { throw Violation(description: "a loss without a hold") }
        clients[index].held = nil
        if faults.isDisjoint(with: [.deletions, .hastyHealing, .purges]) {
            throw Violation(description: "client \(index) lost the lock for nothing")
        }
    }

    private func isBeingNotified(_ index: Int) -> Bool {
        clients[index].inbox.contains { reply in
            guard reply.epoch == clients[index].epoch else { return false }
            switch reply.event {
            case .cancelledByBroker, .channelClosed: return true
            default: return false
            }
        }
    }

    private mutating func grant(_ token: TokenMachine.Token, _ index: Int) throws {
        guard clients[index].wants != nil else { throw Violation(description: "a grant to nobody") }
        clients[index].wants = nil
        let nonce = token.message.nonce
        let fence = token.message.number + (mutant == .ignoresTheCount ? 0 : 32 * UInt64(token.count))
        let last = orphaned.contains(nonce) ? fences[nonce] ?? 0 : lastFence
        guard fence > last else { throw Violation(description: "fencing token \(fence) after \(last)") }
        lastFence = max(lastFence, fence)
        fences[nonce] = fence
        grants += 1
        clients[index].held = token
        // After a deletion of the register, or of the queue, a holder is told as fast as the network allows.
        guard !isBeingNotified(index) else { return }
        for (other, client) in clients.enumerated() where other != index && client.held != nil {
            guard !isBeingNotified(other) else { continue }
            throw Violation(description: "two holders, clients \(other) and \(index)")
        }
    }
}
