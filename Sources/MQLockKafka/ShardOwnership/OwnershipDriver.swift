import MQLock

/// One membership of the group: performs what its ``OwnershipMachine`` decides, on a thread of its own that polls the
/// consumer and runs no user code.
final class OwnershipDriver: @unchecked Sendable {
    typealias Machine = OwnershipMachine

    /// Commands from other threads.
    private enum Command: Sendable {
        case claimAnswered(Machine.ClaimID, Machine.ClaimOutcome, LockError?)
        case join
        case warmedUp(Machine.ClaimOutcome, LockError?)
        case topicFound(LockError?)
        case drained(ShardHold)
        case usedUp(ShardHold)
        case broken(LossReason)
        case leave
    }

    private struct Inbox {
        var commands: [Command] = []
        var isClosed = false
    }

    private let settings: OwnershipSettings
    private let board: OwnershipBoard
    private let clock: any LockClock
    private let consumer: GroupConsumer
    private let worker: ClaimWorker
    private let inbox = Locked(Inbox())
    // Used on the poll thread only.
    private var machine: Machine
    /// Read when the assignment was polled, before it was answered. The claims are fenced by it.
    private var snapshot: GroupMetadata?
    private var proof: ProofOfLife?
    private var holds: [Int32: ShardHold] = [:]
    private var claim: (id: Machine.ClaimID, cancellation: Cancellation, begun: ContinuousClock.Instant)?
    private var troubles: ClaimTroubles
    private var isLookingForTopic = false
    private var begun: ContinuousClock.Instant
    private var unsent: (id: Machine.CommitID, offsets: [Int32: Int64], epoch: UInt64)?
    private var closeDeadline: ContinuousClock.Instant?
    /// The permanent error, if any. Final once ``run()`` has returned.
    private(set) var refusal: LockError?

    init(_ settings: OwnershipSettings, _ board: OwnershipBoard, clock: any LockClock) throws(LockError) {
        (self.settings, self.board, self.clock, begun) = (settings, board, clock, clock.now)
        consumer = try GroupConsumer(
            settings.client(), topic: settings.topic, records: settings.records, log: settings.log)
        worker = ClaimWorker(settings.claims, log: settings.log)
        machine = Machine(timing: settings.timing)
        troubles = ClaimTroubles(session: settings.timing.session)
    }

    /// Joins the group and stays until the membership ends. Cancellation does not cut it short: see ``leave()``.
    func run() async -> Machine.End {
        await withCheckedContinuation { continuation in
            worker.warmUp { [weak self] in
                self?.send(.join)
            } _: { [weak self] outcome, trouble in
                self?.send(.warmedUp(outcome, trouble))
            }
            let status = DetachedThread.start { [self] in
                let end = loop()
                board.unassigned()
                continuation.resume(returning: end)
            }
            if status != 0 {
                continuation.resume(
                    returning: .failed(LossReason(.connectionClosed, "no thread could be started: errno \(status)")))
            }
        }
    }

    /// Drains what is owned and leaves the group. From any thread.
    func leave() { send(.leave) }

    /// Reads the owner of another member's shard, and passes it to ``LastOwners``. From any thread.
    func findOwner(of shard: Int32) {
        let rebalance = board.lastOwners.rebalance
        worker.findOwner(of: shard) { [board, clock] claim in
            board.lastOwners.remember(shard, claim?.owner, rebalance, now: clock.now)
            board.lastOwners.answer(shard, claim?.owner)
        }
    }

    private func send(_ command: Command) {
        let isOpen = inbox.withLock { inbox in
            if !inbox.isClosed { inbox.commands.append(command) }
            return !inbox.isClosed
        }
        if isOpen { consumer.wake() }
    }

    // MARK: The poll thread

    private func loop() -> Machine.End {
        begun = clock.now
        while true {
            if case .ended(let end) = machine.phase {
                inbox.withLock { $0.isClosed = true }
                worker.close()
                return end
            }
            turn()
        }
    }

    private func turn() {
        // A second at most, so that the library sees that we are alive.
        var wait = Duration.seconds(1)
        if let deadline = machine.deadline(now: clock.now) { wait = min(wait, clock.now.duration(to: deadline)) }
        if closeDeadline != nil { wait = min(wait, .milliseconds(20)) }
        // All pending events of the library come before anything is sent: a renewal must not follow a revocation.
        var event = consumer.poll(for: wait)
        while let next = event {
            handle(next)
            event = consumer.poll(for: .zero)
        }
        for command in inbox.withLock({ inbox in
            defer { inbox.commands = [] }; return inbox.commands
        }) { handle(command) }
        if closeDeadline == nil, let failure = consumer.fatalError { brokenClient(failure) }
        perform(machine.tick(now: clock.now))
        sendCommit()
        if let closeDeadline, consumer.isClosed || closeDeadline <= clock.now {
            machine.closed()
        }
    }

    private func handle(_ event: GroupConsumer.Event) {
        switch event {
        case .assigned(let given, let records):
            let shards = settings.records == nil ? given : copartitioned(given, records)
            do throws(KafkaFailure) {
                let snapshot = try consumer.metadata()
                self.snapshot = snapshot
                board.assigned(shards)
                perform(machine.assigned(shards, snapshot.membership, now: clock.now))
            } catch {
                brokenClient(error)
                answer { () throws(KafkaFailure) in try consumer.unassign() }
            }
        case .revoked(_, let lost): perform(machine.revoked(lost: lost, now: clock.now))
        case .committed(let id, let failure):
            perform(machine.commitAnswered(.init(rawValue: UInt64(id)), outcome(of: failure), now: clock.now))
            if let failure, failure.isFatal || failure.code.isFenced { brokenClient(failure) }
        case .failed(let failure): handle(failure)
        }
    }

    /// Our assignment of both topics. A client that reads a partition without owning the shard of that number is not
    /// our member, and reads it alone. So we do not read it, and that client does not touch our shards.
    private func copartitioned(_ shards: [Int32], _ records: [Int32]) -> [Int32] {
        let both = Set(shards).intersection(records)
        if both.count != shards.count || both.count != records.count, let topic = settings.records {
            func text(_ numbers: [Int32]) -> String { numbers.sorted().map(String.init).joined(separator: ", ") }
            warn(
                LockError(
                    .incompatible,
                    """
                    the group has given this member the partitions \(text(records)) of \(topic.escapedForDisplay) and \
                    \(text(shards)) of \(settings.topic.escapedForDisplay): only those of both can be owned. Every member \
                    has to subscribe to both topics, and to share out by 'range'; while a version that does not is being \
                    replaced this passes
                    """))
        }
        return both.sorted()
    }

    private func outcome(of failure: KafkaFailure?) -> Machine.CommitOutcome {
        guard let failure else {
            guard let now = try? consumer.metadata().membership else { return .notRenewed }
            return .accepted(now)
        }
        if failure.code.isStaleMembership { return .stale }
        if failure.code.isUnknownTopic { lookForTopic(failure, "renewing the ownership") }
        return .notRenewed
    }

    private func handle(_ failure: KafkaFailure) {
        if failure.isFatal || failure.code.isFenced {
            brokenClient(failure)
        } else if failure.code.isLossOfMembership {
            perform(machine.membershipLost(LossReason(.partitionLost, failure.text), now: clock.now))
        } else if failure.code.isUnknownTopic {
            lookForTopic(failure, "joining the group")
        } else if failure.code.isFinal {
            refuse(LockError(failure, while: "joining the group"))
        } else if failure.code.needsAttention != nil {
            warn(LockError(failure, while: "joining the group"))
        }
    }

    private func refuse(_ error: LockError) {
        refusal = refusal ?? error
        perform(machine.refused(error.message, now: clock.now))
    }

    /// The library reports a missing topic once, and looks for it seldom. So we look until it exists, and join again,
    /// or until that makes no sense any more.
    private func lookForTopic(_ failure: KafkaFailure, _ doing: String) {
        guard !isLookingForTopic else { return }
        isLookingForTopic = true
        warn(LockError(failure, while: doing))
        worker.findTopic { [weak self] error in self?.send(.topicFound(error)) }
    }

    private func join() {
        do throws(KafkaFailure) { try consumer.subscribe() } catch { brokenClient(error) }
    }

    /// Reports what keeps the shards from being owned, if it lasts.
    private func note(_ trouble: LockError, begun: ContinuousClock.Instant) {
        if troubles.failed(trouble, begun: begun, now: clock.now) { warn(trouble) }
    }

    private func handle(_ command: Command) {
        switch command {
        case .claimAnswered(let id, let outcome, let trouble):
            let begun = claim?.begun ?? clock.now
            claim = nil
            switch outcome {
            case .failed: refusal = refusal ?? trouble
            case .committed: troubles.ended()
            case .retry, .stale: if let trouble { note(trouble, begun: begun) }
            }
            perform(machine.claimAnswered(id, outcome, now: clock.now))
        case .join: if machine.phase == .joining { join() }
        case .warmedUp(let outcome, let trouble):
            if case .failed = outcome, let trouble {
                refuse(trouble)
            } else if let trouble {
                note(trouble, begun: begun)
            }
        case .topicFound(let error):
            isLookingForTopic = false
            if let error { refuse(error) } else { join() }
        case .drained(let hold):
            guard holds[hold.shard] === hold else { break }
            perform(machine.drained(hold.shard, now: clock.now))
        case .usedUp(let hold):
            guard holds[hold.shard] === hold else { break }
            perform(machine.usedUp(hold.shard, now: clock.now))
        case .broken(let reason): perform(machine.broken(reason, now: clock.now))
        case .leave: perform(machine.leave(now: clock.now))
        }
    }

    private func brokenClient(_ failure: KafkaFailure) {
        perform(machine.broken(LossReason(.connectionClosed, failure.description), now: clock.now))
    }

    private func warn(_ error: LockError) {
        settings.warn(error)
        board.hinder(error)
        board.renewals.tell(
            LockEvent(
                .warning, at: clock.now, owner: settings.claims.owner, errorCode: error.code, detail: error.message))
    }

    // MARK: Performing

    private func perform(_ actions: [Machine.Action]) {
        for action in actions { perform(action) }
        if machine.membership == nil { board.unassigned() }
    }

    private func perform(_ action: Machine.Action) {
        switch action {
        case .answerAssignment(let shards):
            proof = nil
            answer { () throws(KafkaFailure) in try consumer.assign(shards) }
        case .answerRevocation: answer { () throws(KafkaFailure) in try consumer.unassign() }
        case .startClaim(let id, let shards): startClaim(id, shards)
        case .abandonClaim(let id):
            if claim?.id == id { claim?.cancellation.cancel() }
        case .commit(let id, let offsets): unsent = (id, offsets, machine.epoch)
        case .prove(let until):
            prove(until)
            let (now, sent) = (clock.now, until.before(settings.timing.validity))
            board.renewals.tell(
                LockEvent(
                    .renewed, at: now, owner: settings.claims.owner, roundTrip: sent.duration(to: now),
                    proven: now.duration(to: until)))
        case .own(let shard, let claim):
            guard let proof,
                let hold = ShardHold(
                    shard, claim, owner: settings.claims.owner, proof: proof, fence: fence(of: shard, claim),
                    grants: settings.grantsPerClaim, usedUp: { [weak self] in self?.send(.usedUp($0)) })
            else { break }
            holds[shard] = hold
            board.set(hold)
        case .renumber(let shard, let claim):
            holds[shard]?.renumber(claim)
            board.renumbered()
        case .drain(let shard, let until):
            guard let hold = holds[shard] else { break }
            let reason = LossReason(machine.isLeaving ? .shutdown : .partitionRevoked)
            board.tell(ShardEvent(.draining, shard: Int(shard), token: hold.lease.token, reason: reason))
            hold.drain(until: until) { [weak self, weak hold] in
                if let hold { self?.send(.drained(hold)) }
            }
        case .end(let shard, let reason):
            // First of all: a thread that finds no hold any more then finds that its leases have ended.
            holds.removeValue(forKey: shard)?.end(reason)
            if holds.isEmpty {
                proof?.end()
                proof = nil
            }
            board.remove(shard, reason)
        case .close: close()
        }
    }

    /// The snapshot is still that of the hold's own assignment: a later one would have ended the claim before.
    private func fence(of shard: Int32, _ claim: Machine.Claim) -> ShardFence? {
        guard settings.claims.method == .transactional, let snapshot else { return nil }
        return ShardFence(topic: settings.topic, shard: shard, offset: claim.offset, metadata: snapshot)
    }

    /// If the library does not accept an answer, the group stands still. Then the client is useless.
    private func answer(_ body: () throws(KafkaFailure) -> Void) {
        do throws(KafkaFailure) {
            try body()
        } catch {
            inbox.withLock { $0.commands.append(.broken(LossReason(.connectionClosed, error.description))) }
        }
    }

    private func prove(_ until: ContinuousClock.Instant) {
        guard let proof else {
            self.proof = ProofOfLife(until: until, clock: clock)
            return
        }
        // Another thread has seen the proof's end before us: then it is over, whatever has come since.
        if !proof.extend(to: until) { perform(machine.proofRanOut(now: clock.now)) }
    }

    private func startClaim(_ id: Machine.ClaimID, _ shards: [Int32]) {
        guard let snapshot else {
            perform(machine.claimAnswered(id, .retry, now: clock.now))
            return
        }
        let cancellation = Cancellation()
        claim = (id, cancellation, clock.now)
        worker.claim(shards, snapshot, cancellation) { [weak self] outcome, trouble in
            self?.send(.claimAnswered(id, outcome, trouble))
        }
    }

    /// Only after the consumer's queue has been drained, and only if nothing in it made the commit obsolete.
    private func sendCommit() {
        guard let (id, offsets, epoch) = unsent else { return }
        unsent = nil
        do throws(KafkaFailure) {
            guard epoch == machine.epoch, let membership = machine.membership,
                try consumer.metadata().membership == membership
            else {
                perform(machine.commitAnswered(id, .notRenewed, now: clock.now))
                return
            }
            try consumer.commit(offsets, id: UInt(id.rawValue))
        } catch {
            perform(machine.commitAnswered(id, .notRenewed, now: clock.now))
        }
    }

    private func close() {
        closeDeadline = clock.now.after(settings.closeTimeout)
        claim?.cancellation.cancel()
        do throws(KafkaFailure) {
            try consumer.beginClosing()
        } catch {
            closeDeadline = clock.now
        }
    }
}
