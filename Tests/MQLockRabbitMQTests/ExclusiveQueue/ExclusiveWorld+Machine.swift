import MQLock

@testable import MQLockRabbitMQ

/// What each client's machine says, done; and what may not be.
extension ExclusiveWorld {
    mutating func feed(_ index: Int, _ event: ExclusiveMachine.Event) throws {
        let connection = clients[index].connection
        for action in clients[index].machine.handle(event) {
            guard clients[index].connection == connection else { return }
            try perform(action, index)
        }
    }

    private mutating func perform(_ action: ExclusiveMachine.Action, _ index: Int) throws {
        switch action {
        case .join: try open(.line, index, [.join])
        case .claim:
            if try open(.claim, index, [.declareQueue]) { try open(.register, index, [.readRegister]) }
        case .watch: write([.watch], .line, index)
        case .ask: try open(.question, index, [.ask])
        case .askWhich: write([.askWhich], .question, index)
        case .close(let kind):
            write([.close], kind, index)
            clients[index].channels[kind] = nil
        case .delete(let kind, opens: true): try open(kind, index, [.delete])
        case .delete(let kind, opens: false): write([.delete], kind, index)
        case .acknowledge(let kind, let delivery): write([.acknowledge(delivery)], kind, index)
        case .renewTurn(let delivery):
            renewals += 1
            write([.renew(delivery)], .line, index)
        case .seed(.line): publish(.turn, .line, index)
        case .seed(.register):
            // As small as can be: the order of grants must not hang on the clocks of seeders, but for deletions.
            publish(.number(FenceMessage(number: 1 + seedBase, nonce: Nonce())), .register, index)
        case .publish(let number):
            let message = FenceMessage(number: number + TokenNumber.step, nonce: Nonce())
            try feed(index, .publishing(message))
            publish(.number(message), .register, index)
        case .start(let timer, let number): clients[index].timers.append((timer, number))
        case .grant(let attempt, let number): try grant(attempt, number, index)
        case .contended(let attempt), .fail(let attempt, _, _), .failFarAhead(let attempt, _):
            guard clients[index].attempt?.number == attempt else { throw Violation(description: "an answer to nobody") }
            clients[index].attempt = nil
        case .lose: try lose(index)
        case .endSession: disconnect(index)
        case .report, .trouble: break
        }
    }

    private var seedBase: UInt64 { UInt64(broker.registerDeletions) << 32 }

    private mutating func publish(_ content: Broker.Content, _ queue: ExclusiveMachine.Seeded, _ index: Int) {
        publishes.append(
            Publish(client: index, connection: clients[index].connection, queue: queue, content: content))
    }

    @discardableResult
    private mutating func open(_ kind: Broker.Kind, _ index: Int, _ frames: [Broker.Frame]) throws -> Bool {
        if faults.contains(.channels), !isSettling, Int.random(in: 0..<10, using: &random) == 0 {
            try feed(index, .channelUnavailable(kind))
            return false
        }
        lastChannel += 1
        clients[index].channels[kind] = ChannelID(
            connection: clients[index].connection, kind: kind, number: lastChannel)
        write([.open] + frames, kind, index)
        return true
    }

    private mutating func write(_ frames: [Broker.Frame], _ kind: Broker.Kind, _ index: Int) {
        guard let id = clients[index].channels[kind] else { return }
        toBroker[id, default: []] += frames
    }

    private mutating func lose(_ index: Int) throws {
        guard let held = clients[index].held else { throw Violation(description: "a loss without a hold") }
        clients[index].held = nil
        if faults.isDisjoint(with: [.disconnects, .deletions, .unanswered]), held.deletions == broker.deletions {
            throw Violation(description: "client \(index) lost the lock for nothing")
        }
    }

    /// Whether the broker has closed something of the client's, and the news are on their way.
    private func isBeingTold(_ client: Client) -> Bool {
        client.channels.values.contains { id in
            toClient[id]?.contains { event in
                switch event {
                case .channelClosed, .cancelledByBroker: true
                default: false
                }
            } ?? false
        }
    }

    private mutating func grant(_ attempt: UInt64, _ number: UInt64, _ index: Int) throws {
        guard clients[index].attempt?.number == attempt else { throw Violation(description: "a grant to nobody") }
        clients[index].attempt = nil
        // Told late of a deletion, a contender may be granted what is gone; it is told right after.
        let isCurrent = number >> 32 == UInt64(broker.registerDeletions) && !isBeingTold(clients[index])
        if isCurrent {
            guard number > lastNumber else {
                throw Violation(description: "fencing token \(number) after \(lastNumber)")
            }
            lastNumber = number
            guard broker.owner == clients[index].connection else {
                throw Violation(description: "client \(index) is granted a lock whose queue it does not own")
            }
            for (other, client) in clients.enumerated() where other != index {
                guard client.held != nil, !isBeingTold(client) else { continue }
                throw Violation(description: "two holders, clients \(other) and \(index)")
            }
        }
        clients[index].held = (number, broker.deletions)
        grants += 1
    }
}
