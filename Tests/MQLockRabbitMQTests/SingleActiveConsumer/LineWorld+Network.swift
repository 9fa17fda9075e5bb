import MQLock

@testable import MQLockRabbitMQ

/// What travels, what is lost on the way, and what the broker does wrong.
extension LineWorld {
    func write(_ frame: Broker.Frame, _ id: ChannelID) { change(id) { $0.frames.append(frame) } }

    func change(_ id: ChannelID, _ change: (inout Way) -> Void) {
        let at = ways.firstIndex { $0.id == id } ?? ways.endIndex
        if at == ways.endIndex { ways.append(Way(id: id)) }
        change(&ways[at])
        if ways[at].frames.isEmpty, ways[at].replies.isEmpty { ways.remove(at: at) }
    }

    func carry() throws {
        guard let at = ways.indices.randomElement(using: &random) else { return }
        let id = ways[at].id
        if ways[at].replies.isEmpty || !ways[at].frames.isEmpty && Bool.random(using: &random) {
            let frame = ways[at].frames.removeFirst()
            if ways[at].frames.isEmpty, ways[at].replies.isEmpty { ways.remove(at: at) }
            if case .acknowledge(let tag) = frame { acknowledging(id, tag) }
            broker.receive(frame, on: id)
            return collect()
        }
        let reply = ways[at].replies.removeFirst()
        if ways[at].frames.isEmpty, ways[at].replies.isEmpty { ways.remove(at: at) }
        // Else for a channel that we have closed.
        if clients[id.client].channel == id { try receive(reply, id.client) }
    }

    /// A holder that has lost its place without a word takes for surplus what has become the lock.
    func acknowledging(_ id: ChannelID, _ tag: UInt64) {
        let client = clients[id.client]
        guard client.channel == id, client.hasLostPlace, mutant?.acknowledgesTheLock != true else { return }
        vanish()
    }

    func collect() {
        for (id, reply) in broker.outbox { change(id) { $0.replies.append(reply) } }
        broker.outbox = []
    }

    func carryPublish() throws {
        guard !isAlarmed, let at = publishes.indices.randomElement(using: &random) else { return }
        // Those of one session travel over one connection.
        let next = publishes[at].client == nil ? at : publishes.firstIndex { $0.client == publishes[at].client } ?? at
        let publish = publishes.remove(at: next)
        if !isSettling, let client = publish.client {
            if faults.contains(.latePublishes), Int.random(in: 0..<4, using: &random) == 0 {
                // The publish connection broke: nobody knows, and it may still arrive, after later ones too.
                if Bool.random(using: &random) {
                    publishes.append(
                        Publish(client: nil, publication: publish.publication, message: publish.message))
                }
                return try tell(client, publish, .unknown)
            }
            if faults.contains(.refusals), Int.random(in: 0..<16, using: &random) == 0 {
                return try tell(client, publish, .refused(ChannelFault(code: ChannelFault.accessRefused, text: "")))
            }
        }
        let arrival = broker.publish(publish.message)
        collect()
        guard let client = publish.client else { return }
        switch arrival {
        case .arrived: try tell(client, publish, .arrived)
        case .unroutable: try tell(client, publish, .unroutable)
        case .early: try tell(client, publish, .unknown)
        }
    }

    func tell(_ client: Int, _ publish: Publish, _ outcome: Line.Outcome) throws {
        try feed(client, .outcome(publish.publication, publish.message.nonce, outcome))
    }

    func fireTimer(_ index: Int) throws {
        let timers = Line.Timer.allCases.filter(clients[index].timers.contains)
        guard let timer = timers.randomElement(using: &random) else { return }
        if timer == .hold, !holdsEnd { return }
        // The ends of a hold are far away.
        if timer == .hold || timer == .proof || timer == .limit, Int.random(in: 0..<8, using: &random) > 0 { return }
        clients[index].timers.remove(timer)
        try feed(index, .timer(timer))
    }

    // MARK: Publishing

    func publish(_ index: Int, _ publication: Line.Publication) throws {
        let nonce = mutant == .reusesNonce && publication == .exchange ? clients[index].nonce : nextNonce()
        let message: Message
        if publication == .want {
            if mutant == .keepsForEver { return }
            message = Message(kind: .want, number: 0, nonce: nonce)
        } else if publication == .companion {
            message = Message(kind: .companion, number: 0, nonce: nonce)
            companionSent(index)
        } else {
            let place = clients[index].line.place
            let wanted = publication == .exchange ? clients[index].raising ?? 0 : 0
            let above = max(place?.token.fence.rawValue ?? 0, largest[index], wanted) + TokenNumber.step
            let after = publication == .exchange && mutant != .saysNothingOfItsGrant ? place?.fence.rawValue : nil
            message = Message(
                kind: .token, number: isSkewed ? above : max(clock << 21, above), nonce: nonce, after: after ?? 0)
        }
        try feed(index, .publishing(publication, nonce))
        publishes.append(Publish(client: index, publication: publication, message: message))
    }

    func publishForeign() { _ = broker.publish(Message(kind: .foreign, number: 0, nonce: nextNonce())) }

    func companionSent(_ index: Int) {
        clients[index].sent = (grantees.count, vanishings)
    }

    func nextNonce() -> Nonce {
        lastNumber += 1
        return .numbered(lastNumber)
    }

    func nextChannel(_ index: Int) -> ChannelID {
        lastNumber += 1
        return ChannelID(client: index, number: lastNumber)
    }

    func wear(_ count: Int64) -> Line.Wear {
        if count < wearing.worn { return .fresh }
        return count < wearing.wornOut || isAlarmed ? .worn : .wornOut
    }

    // MARK: Faults

    func cutOff() {
        guard broker.line.count > 1, let id = broker.line.first else { return }
        broker.cutOff()
        guard clients[id.client].channel == id else { return }
        clients[id.client].hasLostPlace = clients[id.client].held != nil || clients[id.client].stay?.state == .kept
        // What was on its way to the client is lost with the link.
        change(id) { $0.replies.removeAll { if case .delivered = $0 { true } else { false } } }
    }

    /// The session closes a channel on which something was not answered in time, whatever that may still become.
    func leaveUnanswered(_ index: Int) throws {
        guard let id = clients[index].channel else { return }
        write(.close, id)
        try channelEnded(index, ChannelFault.unanswered)
    }

    /// A token is gone, and one that is under way may be below it.
    func vanish() {
        vanishings += 1
        orphaned.formUnion(publishes.map(\.message.nonce))
        orphaned.formUnion(broker.tokens.map(\.nonce))
    }
}
