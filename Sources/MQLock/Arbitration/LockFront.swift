/// The broker's side of an adapter: contends for one name as this process's only contender for it. See the article
/// <doc:WritingAnAdapter>.
public protocol BrokerContender: Sendable {
    /// A grant for which the broker need not be asked, because this process has kept the lock. Called before the other two.
    /// - Returns: nil when the broker has to be asked; always, if not implemented.
    func acquireLocally(_ name: LockName) -> LeaseRecord?

    /// Waits at the broker until granted. Goes back in line by itself after a reconnect. On cancellation or at the
    /// deadline it leaves nothing behind: a grant in flight is put back at once.
    /// - Throws: ``LockError``: `timedOut` at the deadline, `cancelled` when the task is cancelled; other codes when
    ///   waiting makes no sense.
    func acquire(_ name: LockName, until deadline: ContinuousClock.Instant?) async throws(LockError) -> LeaseRecord

    /// Asks once; nil when another contender has it.
    /// - Throws: ``LockError`` when there is no answer.
    func tryAcquire(_ name: LockName) async throws(LockError) -> LeaseRecord?

    /// Releases a grant, or forgets it after a loss. Not cut short by cancellation.
    func release(_ record: LeaseRecord, _ ending: HoldEnding) async
}

extension BrokerContender {
    /// Nothing is kept.
    public func acquireLocally(_ name: LockName) -> LeaseRecord? { nil }
}

/// What every adapter does the same way: local arbitration, deadlines, events, and the held lock around a grant. An
/// adapter's ``LockProvider`` has one, and passes its calls on to it.
public final class LockFront: Sendable {
    fileprivate let contender: any BrokerContender
    fileprivate let arbiter: LocalArbiter
    fileprivate let relay: ObserverRelay
    fileprivate let owner: String
    fileprivate let clock: any LockClock

    /// The front of one provider.
    /// - Parameters:
    ///   - contender: what contends at the broker.
    ///   - owner: who contends, for events.
    ///   - relay: what brings events to the observer.
    ///   - clock: the clock that limits waits.
    ///   - maximumWaiters: how many contenders may wait behind those at the broker, over all names.
    public init(
        contender: any BrokerContender, owner: String, relay: ObserverRelay,
        clock: any LockClock = SystemLockClock(), maximumWaiters: Int = 100_000
    ) {
        self.contender = contender
        self.owner = owner
        self.relay = relay
        self.clock = clock
        arbiter = LocalArbiter(clock: clock, maximumWaiters: maximumWaiters)
    }

    /// As ``LockProvider/acquire(_:within:)``.
    public func acquire(_ name: LockName, within limit: Duration?) async throws(LockError) -> HeldLock {
        let start = clock.now
        let deadline = limit.map { start.after(max(.zero, $0)) }
        let call = Call(start: start, waits: true, attempt: relay.nextAttempt())
        relay.send(LockEvent(.waiting, at: start, name: name, owner: owner, attempt: call.attempt))
        do throws(LockError) {
            guard !Task.isCancelled else { throw .cancelled(name) }
            let ticket: LocalArbiter.Ticket
            if let free = arbiter.tryEnter(name) {
                ticket = free
            } else {
                ticket = try await arbiter.enter(name, deadline: deadline)
            }
            if let record = contender.acquireLocally(name) {
                return try await holdUnlessCancelled(record, ticket, call)
            }
            let record = try await contending(ticket) { () throws(LockError) in
                try await contender.acquire(name, until: deadline)
            }
            return try await holdUnlessCancelled(record, ticket, call)
        } catch {
            report(error, name, call)
            throw error
        }
    }

    /// As ``LockProvider/tryAcquire(_:)``.
    public func tryAcquire(_ name: LockName) async throws(LockError) -> HeldLock? {
        let call = Call(start: clock.now, waits: false, attempt: relay.nextAttempt())
        do throws(LockError) {
            guard !Task.isCancelled else { throw .cancelled(name) }
            if let ticket = arbiter.tryEnter(name) {
                if let record = contender.acquireLocally(name) {
                    return try await holdUnlessCancelled(record, ticket, call)
                }
                let record = try await contending(ticket) { () throws(LockError) in
                    try await contender.tryAcquire(name)
                }
                if let record { return try await holdUnlessCancelled(record, ticket, call) }
                arbiter.leave(ticket)
            }
        } catch {
            report(error, name, call)
            throw error
        }
        relay.send(LockEvent(.contended, at: clock.now, name: name, owner: owner, attempt: call.attempt))
        return nil
    }

    /// One call of `acquire` or `tryAcquire`, for its events.
    private struct Call {
        let start: ContinuousClock.Instant
        let waits: Bool
        let attempt: UInt64?
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

    private func holdUnlessCancelled(
        _ record: LeaseRecord, _ ticket: LocalArbiter.Ticket, _ call: Call
    ) async throws(LockError) -> HeldLock {
        guard Task.isCancelled else { return hold(record, ticket, call) }
        // Granted and cancelled at the same time: the caller no longer asks for the lock.
        let lost = record.beginRelease()
        await contender.release(record, lost.map { .lost($0) } ?? .released)
        arbiter.leave(ticket)
        throw .cancelled(record.name)
    }

    private func hold(_ record: LeaseRecord, _ ticket: LocalArbiter.Ticket, _ call: Call) -> HeldLock {
        relay.send(
            LockEvent(
                .granted, at: record.grantedAt, record: record, owner: owner, attempt: call.attempt,
                endsWaiting: call.waits, waited: call.start.duration(to: record.grantedAt),
                handOver: arbiter.freedAt(ticket).map { max($0, call.start).duration(to: record.grantedAt) }))
        let grant = Grant(front: self, record: record, ticket: ticket, attempt: call.attempt)
        record.onLoss { grant.lost($0) }
        return HeldLock(
            Hold(record) { record, ending in
                await grant.front.contender.release(record, ending)
                grant.ended(ending)
            })
    }

    /// What the loss and the end of a hold do.
    private final class Grant: Sendable {
        let front: LockFront
        private let record: LeaseRecord
        private let ticket: LocalArbiter.Ticket
        private let attempt: UInt64?

        init(front: LockFront, record: LeaseRecord, ticket: LocalArbiter.Ticket, attempt: UInt64?) {
            (self.front, self.record, self.ticket, self.attempt) = (front, record, ticket, attempt)
        }

        /// A lost hold no longer keeps this process's next contender from going back in line, even if the loser takes
        /// its time to stop. To the next holder it is like a stale holder in another process.
        func lost(_ reason: LossReason) {
            front.arbiter.leave(ticket, heldUntil: record.compactEnd)
            send(.lost, reason)
        }

        func ended(_ ending: HoldEnding) {
            front.arbiter.leave(ticket, heldUntil: record.compactEnd)
            switch ending {
            case .lost: break
            case .released: send(.released)
            case .dropped: send(.leaked)
            }
        }

        private func send(_ kind: LockEvent.Kind, _ reason: LossReason? = nil) {
            front.relay.send(
                LockEvent(
                    kind, at: front.clock.now, record: record, owner: front.owner, attempt: attempt,
                    held: record.heldFor, reason: reason))
        }
    }

    private func report(_ error: LockError, _ name: LockName, _ call: Call) {
        let now = clock.now
        let kind: LockEvent.Kind =
            switch error.code {
            case .timedOut: .timedOut
            case .cancelled: .cancelled
            default: .failed
            }
        relay.send(
            LockEvent(
                kind, at: now, name: name, owner: owner, attempt: call.attempt, endsWaiting: call.waits,
                waited: call.start.duration(to: now), errorCode: error.code,
                detail: kind == .failed ? error.message : nil))
    }
}
