import MQLock

/// A client as the world sees it: the pure state, its network, and the callers that wait for a result.
struct Client {
    typealias Wake = @Sendable () -> Void
    typealias Asker = CheckedContinuation<Result<[DoneMark], LockError>, Never>
    typealias Caller = CheckedContinuation<Result<LeaseRecord?, LockError>, Never>

    var state: ClientState
    var link = Link()
    /// Call it once the world's lock is free.
    var wakes: [Wake] = []
    private let owner: String
    private let relay: ObserverRelay
    private let clock: any LockClock
    private var proof: ProofOfLife?
    private var callers: [ContenderID: (name: LockName, caller: Caller)] = [:]
    private var asking: [MarkRequest.ID: Asker] = [:]
    private var raising: [ContenderID: CheckedContinuation<Bool, Never>] = [:]
    private var returning: [ContenderID: CheckedContinuation<Void, Never>] = [:]
    private var records: [ContenderID: LeaseRecord] = [:]
    private var contenders: [LeaseID: ContenderID] = [:]

    init(state: ClientState, owner: String, relay: ObserverRelay, clock: any LockClock) {
        self.state = state
        self.owner = owner
        self.relay = relay
        self.clock = clock
    }

    mutating func start(
        _ contender: ContenderID, _ name: LockName, once: Bool, at now: ContinuousClock.Instant, _ caller: Caller
    ) {
        callers[contender] = (name, caller)
        handle(.start(contender, name, once: once), at: now)
    }

    mutating func ask(
        _ request: MarkRequest, _ id: MarkRequest.ID, at now: ContinuousClock.Instant, _ asker: Asker
    ) {
        asking[id] = asker
        handle(.ask(request, id), at: now)
    }

    /// One at a time: a second one is refused.
    mutating func raise(
        _ id: LeaseID, to number: UInt64, at now: ContinuousClock.Instant, _ caller: CheckedContinuation<Bool, Never>
    ) {
        guard let contender = contenders[id], raising[contender] == nil else {
            wakes.append { caller.resume(returning: false) }
            return
        }
        raising[contender] = caller
        handle(.raise(contender, to: number), at: now)
    }

    /// The caller is gone; what it has asked for may still come.
    mutating func giveUpRaising(_ id: LeaseID) {
        guard let contender = contenders[id], let caller = raising.removeValue(forKey: contender) else { return }
        wakes.append { caller.resume(returning: false) }
    }

    mutating func giveBack(
        _ id: LeaseID, at now: ContinuousClock.Instant, _ done: CheckedContinuation<Void, Never>
    ) {
        guard let contender = contenders.removeValue(forKey: id) else {
            wakes.append { done.resume() }
            return
        }
        records[contender] = nil
        returning[contender] = done
        handle(.release(contender), at: now)
    }

    mutating func forget(_ id: LeaseID) {
        if let contender = contenders.removeValue(forKey: id) { records[contender] = nil }
    }

    mutating func handle(_ event: ClientState.Event, at now: ContinuousClock.Instant) {
        guard !link.isPaused else {
            if case .tick = event { return }
            link.inbox.append(event)
            return
        }
        for action in state.handle(event, at: now) { perform(action, at: now) }
    }

    mutating func resume(at now: ContinuousClock.Instant) {
        link.isPaused = false
        let inbox = link.inbox
        link.inbox = []
        for event in [.tick] + inbox { handle(event, at: now) }
    }

    private mutating func perform(_ action: ClientState.Action, at now: ContinuousClock.Instant) {
        switch action {
        case .send(let request):
            if case .open = request.body { relay.send(LockEvent(.connecting, at: now, owner: owner)) }
            link.append(request)
        case .connected(let until):
            let isUnchecked = state.mutation.contains(.noProof)
            proof = ProofOfLife(until: isUnchecked ? now.after(.seconds(1 << 30)) : until, clock: clock)
            relay.send(LockEvent(.connected, at: now, owner: owner))
        case .proven(let until, let sentAt):
            // A check after its end came before us: then it is over, whatever has come since.
            if let proof, !proof.extend(to: until) { return handle(.proofEnded, at: now) }
            relay.send(
                LockEvent(
                    .renewed, at: now, owner: owner, roundTrip: sentAt.duration(to: now),
                    proven: now.duration(to: until)))
        case .suspect(let isSuspect): suspect(isSuspect, at: now)
        case .granted(let contender, let token): grant(contender, token, at: now)
        case .refused(let contender): answer(contender, .success(nil))
        case .failed(let contender, let error): answer(contender, .failure(error))
        case .lost(let contender, let reason):
            let record = records.removeValue(forKey: contender)
            if !state.mutation.contains(.lossNotReported) { record?.lose(reason) }
        case .returned(let contender):
            if let done = returning.removeValue(forKey: contender) { wakes.append { done.resume() } }
        case .raised(let contender, let isDone):
            if let caller = raising.removeValue(forKey: contender) { wakes.append { caller.resume(returning: isDone) } }
        case .answered(let id, let result):
            if let asker = asking.removeValue(forKey: id) { wakes.append { asker.resume(returning: result) } }
        case .disconnected(let reason):
            guard let proof else {
                relay.send(LockEvent(.connectionFailed, at: now, owner: owner, detail: reason.description))
                break
            }
            // After the losses, so each is reported with its own reason.
            if !state.mutation.contains(.lossNotReported) { proof.end() }
            self.proof = nil
            relay.send(LockEvent(.disconnected, at: now, owner: owner, reason: reason))
        }
    }

    private mutating func answer(_ contender: ContenderID, _ outcome: Result<LeaseRecord?, LockError>) {
        guard let (_, caller) = callers.removeValue(forKey: contender) else { return }
        wakes.append { caller.resume(returning: outcome) }
    }

    private mutating func grant(_ contender: ContenderID, _ token: FencingToken, at now: ContinuousClock.Instant) {
        guard let (name, _) = callers[contender], let proof else {
            preconditionFailure("a grant without a caller or a session")
        }
        let record = LeaseRecord(name: name, token: token, owner: owner, proof: proof)
        records[contender] = record
        contenders[record.id] = contender
        answer(contender, .success(record))
    }

    private func suspect(_ isSuspect: Bool, at now: ContinuousClock.Instant) {
        for (_, record) in records.sorted(by: { $0.key < $1.key })
        where record.setSuspect(isSuspect) && isSuspect {
            relay.send(LockEvent(.suspect, at: now, record: record, owner: owner))
        }
    }
}
