/// The broker's side of an adapter: contends for one name as this process's only contender for it.
package protocol BrokerContender: Sendable {
    /// Waits at the broker until granted. Goes back in line by itself after a reconnect; on cancellation or at the
    /// deadline leaves nothing behind: a grant in flight is put back at once.
    func contend(for name: LockName, deadline: ContinuousClock.Instant?) async throws(LockError) -> LeaseRecord

    /// Asks once; nil when somebody else has it.
    func tryOnce(for name: LockName) async throws(LockError) -> LeaseRecord?

    /// Gives a grant back, or forgets it after a loss. Not cut short by cancellation.
    func end(_ record: LeaseRecord, _ ending: Hold.Ending) async
}

/// What every adapter does the same way: local arbitration, deadlines, events, and the held lock around a grant.
package final class LockFront: Sendable {
    private let contender: any BrokerContender
    private let arbiter: LocalArbiter
    private let relay: ObserverRelay
    private let owner: String
    private let clock: any LockClock

    package init(
        contender: any BrokerContender, owner: String, relay: ObserverRelay,
        clock: any LockClock = SystemLockClock(), maximumWaiters: Int = 100_000
    ) {
        self.contender = contender
        self.owner = owner
        self.relay = relay
        self.clock = clock
        arbiter = LocalArbiter(clock: clock, maximumWaiters: maximumWaiters)
    }

    package func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        let start = clock.now
        let deadline = limit.map { start.advanced(by: max(.zero, $0)) }
        relay.send(LockEvent(.waiting, at: start, name: name, owner: owner))
        do throws(LockError) {
            guard !Task.isCancelled else { throw .cancelled(name) }
            let ticket = try await arbiter.enter(name, deadline: deadline)
            let record = try await contending(ticket) { () throws(LockError) in
                try await contender.contend(for: name, deadline: deadline)
            }
            return try await hold(record, ticket, since: start)
        } catch {
            report(error, name, since: start)
            throw error
        }
    }

    package func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        let start = clock.now
        do throws(LockError) {
            guard !Task.isCancelled else { throw .cancelled(name) }
            if let ticket = arbiter.tryEnter(name) {
                let record = try await contending(ticket) { () throws(LockError) in
                    try await contender.tryOnce(for: name)
                }
                if let record { return try await hold(record, ticket, since: start) }
                arbiter.leave(ticket)
            }
        } catch {
            report(error, name, since: start)
            throw error
        }
        relay.send(LockEvent(.contended, at: clock.now, name: name, owner: owner))
        return nil
    }

    private func contending<Result>(
        _ ticket: LocalArbiter.Ticket, _ body: () async throws(LockError) -> Result
    ) async throws(LockError) -> Result {
        do throws(LockError) {
            return try await body()
        } catch {
            arbiter.leave(ticket)
            throw error
        }
    }

    private func hold(
        _ record: LeaseRecord, _ ticket: LocalArbiter.Ticket, since start: ContinuousClock.Instant
    ) async throws(LockError) -> HeldLock {
        guard !Task.isCancelled else {
            // Granted and cancelled at once: the caller asked for nothing to be held.
            let lost = record.beginRelease()
            await contender.end(record, lost.map { .lost($0) } ?? .released)
            arbiter.leave(ticket)
            throw .cancelled(record.name)
        }
        relay.send(
            LockEvent(
                .granted, at: record.grantedAt, record: record, owner: owner,
                waited: start.duration(to: record.grantedAt)))
        // A lost hold no longer keeps this process's next contender from going back in line, even if the loser takes
        // its time to stop: to the next holder it is what a stale holder in another process would be.
        record.onLoss { [arbiter, relay, owner, clock] reason in
            arbiter.leave(ticket)
            relay.send(
                LockEvent(.lost, at: clock.now, record: record, owner: owner, held: record.heldFor, reason: reason))
        }
        return HeldLock(
            Hold(record) { [contender, arbiter, relay, owner, clock] record, ending in
                await contender.end(record, ending)
                arbiter.leave(ticket)
                switch ending {
                case .lost: break
                case .released:
                    relay.send(LockEvent(.released, at: clock.now, record: record, owner: owner, held: record.heldFor))
                case .dropped:
                    relay.send(LockEvent(.leaked, at: clock.now, record: record, owner: owner, held: record.heldFor))
                }
            })
    }

    private func report(_ error: LockError, _ name: LockName, since start: ContinuousClock.Instant) {
        let now = clock.now
        let kind: LockEvent.Kind =
            switch error.code {
            case .timedOut: .timedOut
            case .cancelled: .cancelled
            default: .failed
            }
        relay.send(
            LockEvent(
                kind, at: now, name: name, owner: owner, waited: start.duration(to: now),
                detail: kind == .failed ? error.message : nil))
    }
}
