import MQLock

@testable import MQLockRabbitMQ

/// What each client's machine is told, and what it says, done as `LineLock` does it.
extension LineWorld {
    func feed(_ index: Int, _ event: Line.Event) throws {
        clients[index].events.append(event)
        // What an action brings about comes after all the actions of its event.
        guard clients[index].events.count == 1 else { return }
        while let event = clients[index].events.first {
            for action in clients[index].line.handle(event) { try perform(action, index) }
            if !clients[index].events.isEmpty { clients[index].events.removeFirst() }
        }
        if clients[index].line.wanted == nil { clients[index].timers.remove(.limit) }
    }

    func receive(_ reply: Broker.Reply, _ index: Int) throws {
        switch reply {
        case .declared where mutant == .consumesAtOnce: try feed(index, .declared(messages: 1, consumers: 1))
        case .declared(let messages, let consumers):
            try feed(index, .declared(messages: messages, consumers: consumers))
        case .bound: try feed(index, .bound)
        case .consuming: try feed(index, .consuming)
        case .cancelled: try feed(index, .cancelledByBroker)
        case .closed(let code): try channelEnded(index, code)
        case .delivered(let tag, let message): try delivered(index, tag, message)
        case .early:
            // Whoever has met the queue once, and was not told that it is gone and another in its place, cannot know.
            if mutant == .consumesAtOnce { throw Violation(.early, "a queue was consumed that has not started") }
            disconnect(index)
        }
    }

    func channelEnded(_ index: Int, _ code: UInt16) throws {
        forgetChannel(index)
        clients[index].timers.formIntersection([.limit])
        try feed(index, .channelClosed(ChannelFault(code: code, text: "")))
    }

    private func forgetChannel(_ index: Int) {
        clients[index].channel = nil
        clients[index].deliveries = [:]
        clients[index].first = nil
        clients[index].hasLostPlace = false
        clients[index].nacked = nil
    }

    private func delivered(_ index: Int, _ tag: UInt64, _ message: Message) throws {
        if message.kind == .token, message.nonce == clients[index].nacked {
            clients[index].nacked = nil
            return
        }
        clients[index].deliveries[tag] = message
        if message.kind == .token, clients[index].first == nil { clients[index].first = message }
        let redelivered = message.count > 0
        var content = content(message)
        switch (mutant, content) {
        case (.suspects, .token(_, let fence, let wear, _)) where redelivered && clients[index].held != nil:
            if let held = clients[index].line.token { content = .token(held.nonce, fence: fence, wear) }
        case (.acknowledgesTheOwnToken, .token(clients[index].line.token?.nonce, _, _, _)):
            if let id = clients[index].channel { write(.acknowledge(tag), id) }
        case (.forgetsTheFirstToken, .token(let nonce, let fence, let wear, let after))
        where nonce == clients[index].first?.nonce && tag > 1 && nonce != clients[index].line.token?.nonce:
            content = .token(nextNonce(), fence: fence, wear, after: after)
        default: break
        }
        try feed(index, .delivered(tag, redelivered: redelivered, content))
    }

    private func content(_ message: Message) -> Line.Content {
        switch message.kind {
        case .foreign: return .foreign
        case .companion: return .companion(message.nonce, count: message.count)
        case .want: return .want
        case .token:
            guard let fence = fence(message) else { return .absurd(number: message.number, count: message.count) }
            return .token(message.nonce, fence: fence, wear(message.count), after: message.after)
        }
    }

    private func fence(_ message: Message) -> FencingToken? {
        let count = mutant == .ignoresTheCount ? 0 : UInt64(message.count)
        return FencingToken(rawValue: message.number + TokenNumber.step * count)
    }

    private func perform(_ action: Line.Action, _ index: Int) throws {
        switch action {
        case .openChannel: try openChannel(index)
        case .declare: write(index, .declare)
        case .consume:
            clients[index].hasAsked = mutant == .wantsTooEarly && Bool.random(using: &random)
            if clients[index].hasAsked {
                _ = broker.publish(Message(kind: .want, number: 0, nonce: nextNonce()))
                collect()
            }
            write(index, .consume)
        case .closeChannel:
            clients[index].timers.formIntersection([.limit])
            if mutant == .cancelsFirst { write(index, .cancel) }
            write(index, .close)
            forgetChannel(index)
        case .publish(let publication): try publish(index, publication, as: mutant)
        case .repair:
            let id = nextChannel(index)
            for frame: Broker.Frame in [.open, .declare, .close] { write(frame, id) }
        case .acknowledge(let delivery): if mutant != .acknowledgesNothing { write(index, .acknowledge(delivery)) }
        case .putBack(let delivery):
            companionSent(index)
            write(index, .putBack(delivery))
            if mutant == .believesTheAcknowledgement, case .proving(let fence)? = clients[index].line.place?.raising {
                try raised(index, fence)
            }
        case .start(.seed) where mutant == .neverSeeds: break
        case .start(.want) where clients[index].hasAsked: break
        case .start(let timer): clients[index].timers.insert(timer)
        case .stop(let timer): clients[index].timers.remove(timer)
        case .serve(let fence): try served(index, mutated(fence, index))
        case .wanted: if mutant != .forgetsWants { try endStay(index) }
        case .proven: try proven(index)
        case .raised(let fence): try raised(index, fence)
        case .contended, .unable, .refuse, .refuseAbsurd: try answered(index)
        case .lose(let reason): try placeLost(index, reason)
        case .report, .trouble: break
        }
    }

    private func openChannel(_ index: Int) throws {
        forgetChannel(index)
        if faults.contains(.channels), !isSettling, Int.random(in: 0..<10, using: &random) == 0 {
            let isSoon = Bool.random(using: &random)
            return try feed(index, isSoon ? .channelUnavailable : .channelClosed(.outOfChannels))
        }
        let id = nextChannel(index)
        clients[index].channel = id
        write(.open, id)
    }

    private func write(_ index: Int, _ frame: Broker.Frame) {
        if let id = clients[index].channel { write(frame, id) }
    }

    // MARK: What mutants do

    private func mutated(_ fence: FencingToken, _ index: Int) -> FencingToken {
        switch mutant {
        case .grantsTheExchanged: return clients[index].line.place?.token.fence ?? fence
        case .grantsTheLargest:
            let delivered = clients[index].channel.map { broker.unacknowledged($0) } ?? []
            return delivered.filter { $0.kind == .token }.compactMap(self.fence).max() ?? fence
        default: return fence
        }
    }

    private func publish(_ index: Int, _ publication: Line.Publication, as mutant: LineMutant?) throws {
        if publication == .seed, mutant == .neverSeeds { return }
        guard publication == .exchange, let token = clients[index].line.token else {
            return try publish(index, publication)
        }
        exchanged()
        if mutant == .acknowledgesEarly { write(index, .acknowledge(token.delivery)) }
        if mutant == .nacksTheToken, clients[index].nacked == nil {
            clients[index].nacked = token.nonce
            return write(index, .putBack(token.delivery))
        }
        try publish(index, publication)
    }
}

extension Line {
    var token: Token? { place?.token }
}
