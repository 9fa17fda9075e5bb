import MQLock

@testable import MQLockRabbitMQ

/// Locks that are kept after their release, as `BrokerLock` and `Tenure` do it.
extension LineWorld {
    private static let now = CompactInstant(ContinuousClock.now)

    /// The broker has granted it the lock.
    func beginStay(_ index: Int, _ fence: FencingToken) {
        let isStreak = Stay.continues(lastServed[index], with: fence)
        lastServed[index] = fence
        let isHeard = clients[index].line.isWanted && mutant != .forgetsWants
        let stays = isSticky && canStay && !isHeard && (isStreak || mutant == .keepsAnyGrant)
        clients[index].stay = Stay(length: stays ? .seconds(1) : .zero)
    }

    /// Whether the released lock stays here.
    func keep(_ index: Int) -> Bool {
        guard case .keep = clients[index].stay?.release(at: Self.now) else { return false }
        return true
    }

    /// Whether it was granted without the broker.
    func acquireLocally(_ index: Int) throws -> Bool {
        // Whoever is cut off acts as a holder that does not know it: its fences tell.
        guard let fence = lastServed[index], !clients[index].hasLostPlace,
            let number = clients[index].stay?.take(at: Self.now, isProven: true)
        else {
            try endStay(index)
            return false
        }
        localGrants += 1
        let local = fence.rawValue + (mutant == .repeatsTheFence ? 1 : number)
        // What a mutant has kept past its session is no client of the broker's any more.
        guard clients[index].channel != nil else { throw Violation(.order, "a grant without a session") }
        try grant(index, FencingToken(rawValue: local) ?? fence)
        return true
    }

    /// The stay's time is over, or somebody wants the lock.
    func endStay(_ index: Int) throws {
        guard clients[index].stay?.close() == true else { return }
        try release(index)
    }

    /// Wherever nothing is lost, somebody who keeps the lock has heard, or will hear, of everybody who waits and has said so.
    func checkWants() throws {
        guard isSticky, faults.isSubset(of: .disconnects), mutant != .keepsForEver,
            let keeper = clients.indices.first(where: { clients[$0].stay?.state == .kept && clients[$0].channel != nil }
            ),
            let waiter = clients.first(where: {
                $0.line.state == .waiting(isConfirmed: true) && !$0.timers.contains(.want)
            })
        else { return }
        let isUnderWay =
            publishes.contains { $0.publication == .want } || broker.hasWant
            || ways.contains { way in
                way.replies.contains {
                    if case .delivered(_, let message) = $0 { message.kind == .want } else { false }
                }
            }
        guard !isUnderWay, let id = waiter.channel, broker.line.contains(id) else { return }
        throw Violation(.want, "client \(keeper) keeps the lock, and client \(id.client) waits in vain")
    }

    /// Nothing moves and nobody holds the lock, but somebody may keep it. Then a want has to end that; the end of the
    /// stay may be needed only where messages are lost.
    /// - Returns: whether something was done.
    func askKeeper() throws -> Bool {
        let keepers = clients.indices.filter { clients[$0].stay?.state == .kept && clients[$0].channel != nil }
        let waiters = clients.indices.filter { clients[$0].wants != nil }
        guard !keepers.isEmpty, !waiters.isEmpty else { return false }
        for timer in [Line.Timer.restart, .declare, .retry, .want] {
            guard let index = waiters.first(where: { clients[$0].timers.contains(timer) }) else { continue }
            clients[index].timers.remove(timer)
            try feed(index, .timer(timer))
            return true
        }
        if mutant == .keepsForEver { return false }
        guard !faults.isSubset(of: .disconnects) else {
            throw Violation(.want, "client \(keepers[0]) keeps the lock, and \(waiters.map(description)) wait in vain")
        }
        for index in keepers { try endStay(index) }
        return true
    }
}
