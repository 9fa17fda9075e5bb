import MQLock

/// One client: its session with the broker, the proof that the session lives, and its contenders.
///
/// A pure value: events and instants in, actions out. Overdue work is checked before every event. So nothing is done in
/// the belief that a session lives whose time has run out, however late the event is handled.
struct ClientState: Sendable {
    enum Session: Sendable {
        /// No session. Goes on to `opening` at the instant, or when the first contender comes; `stopped`.
        case offline(retryAt: ContinuousClock.Instant?)
        /// Awaits the broker's answer. Goes on to `open`, `offline`, `stopped`.
        case opening(SessionID, sentAt: ContinuousClock.Instant)
        /// Goes on to `offline`, `stopped`.
        case open(OpenSession)
        case stopped
    }

    struct OpenSession: Sendable {
        let id: SessionID
        var provenUntil: ContinuousClock.Instant
        /// When the last answered renewal was sent.
        var lastProof: ContinuousClock.Instant
        var nextRenewal: ContinuousClock.Instant
        var isSuspect = false
    }

    enum Event: Sendable {
        case tick
        case delivery(Delivery)
        case connectionClosed(LossReason)
        /// A holder saw the session's proof run out before it was extended.
        case proofEnded
        case start(ContenderID, LockName, once: Bool)
        case giveUp(ContenderID, LockError)
        case release(ContenderID)
        /// Only sent by a mutant.
        case releaseAnyone(LockName)
        /// A holder's; one at a time.
        case raise(ContenderID, to: UInt64)
        case ask(MarkRequest, MarkRequest.ID)
        case giveUpAsking(MarkRequest.ID, LockError)
        case stop
    }

    enum Action: Sendable {
        case send(Request)
        case connected(provenUntil: ContinuousClock.Instant)
        case proven(until: ContinuousClock.Instant, sentAt: ContinuousClock.Instant)
        case suspect(Bool)
        case granted(ContenderID, FencingToken)
        case refused(ContenderID)
        case failed(ContenderID, LockError)
        case lost(ContenderID, LossReason)
        case returned(ContenderID)
        /// False: the lock was lost before that was certain.
        case raised(ContenderID, Bool)
        case answered(MarkRequest.ID, Result<[DoneMark], LockError>)
        case disconnected(LossReason)
    }

    private struct Outstanding: Sendable {
        let number: UInt64
        let sentAt: ContinuousClock.Instant
        let isRenewal: Bool
    }

    let timing: InMemoryTiming
    let kind: String
    let mutation: Mutation
    private let client: Int
    private(set) var session = Session.offline(retryAt: nil)
    private var contenders: [ContenderID: ContenderMachine] = [:]
    /// Asked and not answered; asked again over the next session.
    private var asking: [MarkRequest.ID: MarkRequest] = [:]
    /// Contenders whose numbers are being raised.
    private var raising: Set<ContenderID> = []
    private var attempts = 0
    private var numbers: UInt64 = 0
    /// In order of sending.
    private var outstanding: [Outstanding] = []
    private var actions: [Action] = []

    init(client: Int, timing: InMemoryTiming, kind: String, mutation: Mutation) {
        self.client = client
        self.timing = timing
        self.kind = kind
        self.mutation = mutation
    }

    var sessionID: SessionID? {
        switch session {
        case .opening(let id, _): id
        case .open(let open): open.id
        case .offline, .stopped: nil
        }
    }

    /// Whether the session stands, by the clock.
    func isConnected(at now: ContinuousClock.Instant) -> Bool {
        if case .open(let open) = session { now < open.provenUntil } else { false }
    }

    /// When a tick is due.
    var nextDeadline: ContinuousClock.Instant? {
        let deadline: ContinuousClock.Instant? =
            switch session {
            case .offline(let retryAt): retryAt
            case .opening(_, let sentAt): sentAt.after(timing.requestTimeout)
            case .open(let open):
                min(
                    open.nextRenewal, mutation.contains(.noProof) ? open.nextRenewal : open.provenUntil,
                    open.isSuspect ? open.nextRenewal : open.lastProof.after(timing.suspectAfter))
            case .stopped: nil
            }
        guard let deadline, let overdue = overdueAt else { return deadline }
        return min(deadline, overdue)
    }

    mutating func handle(_ event: Event, at now: ContinuousClock.Instant) -> [Action] {
        actions = []
        endIfOverdue(at: now)
        switch event {
        case .tick: break
        case .delivery(let delivery): receive(delivery, at: now)
        case .connectionClosed(let reason):
            guard sessionID != nil else { break }
            end(reason, tellBroker: false, retryAt: now)
        case .proofEnded: end(LossReason(.proofOverdue), tellBroker: true, retryAt: now)
        case .start(let contender, let name, let once):
            contenders[contender] = ContenderMachine(name: name, once: once, mutation: mutation)
            switch session {
            case .offline(nil): open(at: now)
            case .open: apply(.sessionUp, to: contender, at: now)
            case .stopped: apply(.giveUp(Self.stoppedError), to: contender, at: now)
            case .offline, .opening: break
            }
        case .giveUp(let contender, let error): apply(.giveUp(error), to: contender, at: now)
        case .release(let contender):
            if contenders[contender] == nil { actions.append(.returned(contender)) }
            apply(.release, to: contender, at: now)
        case .releaseAnyone(let name):
            if case .open(let open) = session { send(.releaseAnyone(name), over: open.id, at: now) }
        case .raise(let contender, let number):
            raising.insert(contender)
            if let machine = contenders[contender], machine.state == .held, case .open = session {
                sendOverOpen(.raise(machine.name, contender, to: number), at: now)
            } else {
                raised(contender, false)
            }
        case .ask(let request, let id):
            asking[id] = request
            switch session {
            case .offline(nil): open(at: now)
            case .open: sendOverOpen(.marks(request, id), at: now)
            case .stopped: answered(id, .failure(Self.stoppedError))
            case .offline, .opening: break
            }
        case .giveUpAsking(let id, let error): answered(id, .failure(error))
        case .stop:
            end(LossReason(.shutdown), tellBroker: true, retryAt: nil)
            session = .stopped
            for contender in contenders.keys.sorted() { apply(.giveUp(Self.stoppedError), to: contender, at: now) }
            for id in asking.keys.sorted() { answered(id, .failure(Self.stoppedError)) }
        }
        keepUp(at: now)
        return actions
    }

    private static var stoppedError: LockError { LockError(.shutDown, "the in-memory provider was shut down") }

    // MARK: The session

    private var overdueAt: ContinuousClock.Instant? {
        guard case .open = session else { return nil }
        return outstanding.first { !$0.isRenewal }?.sentAt.after(timing.requestTimeout)
    }

    private mutating func endIfOverdue(at now: ContinuousClock.Instant) {
        switch session {
        case .opening(_, let sentAt) where sentAt.after(timing.requestTimeout) <= now:
            end(
                LossReason(.connectionClosed, "the broker did not answer"), tellBroker: true,
                retryAt: now.after(timing.reconnectDelay))
        case .open(let open) where open.provenUntil <= now && !mutation.contains(.noProof):
            end(LossReason(.proofOverdue), tellBroker: true, retryAt: now)
        case .open:
            guard let overdue = overdueAt, overdue <= now else { return }
            // Rule 8: the result of the request is not guessed.
            if mutation.contains(.noWaitForAnswer) {
                outstanding.removeAll { !$0.isRenewal }
                for (id, machine) in contenders where machine.state == .returning {
                    apply(.released, to: id, at: now)
                }
            } else {
                end(LossReason(.connectionClosed, "a request was not answered"), tellBroker: true, retryAt: now)
            }
        case .offline, .opening, .stopped: break
        }
    }

    /// What is due after an event: opening, renewing, suspecting.
    private mutating func keepUp(at now: ContinuousClock.Instant) {
        if case .offline(let retryAt?) = session, retryAt <= now { open(at: now) }
        guard case .open(var open) = session else { return }
        if open.nextRenewal <= now {
            open.nextRenewal = now.after(timing.renewalInterval)
            send(.renew, over: open.id, at: now)
            if mutation.contains(.polls) { pollForAll(over: open.id, at: now) }
        }
        if !open.isSuspect, open.lastProof.after(timing.suspectAfter) <= now {
            open.isSuspect = true
            actions.append(.suspect(true))
        }
        session = .open(open)
    }

    private mutating func open(at now: ContinuousClock.Instant) {
        attempts += 1
        let id = SessionID(client: client, attempt: attempts)
        session = .opening(id, sentAt: now)
        send(.open, over: id, at: now)
    }

    private mutating func opened(_ id: SessionID, sentAt: ContinuousClock.Instant, at now: ContinuousClock.Instant) {
        let base = mutation.contains(.proofByReceiptTime) ? now : sentAt
        let provenUntil = base.after(timing.proofLength)
        session = .open(
            OpenSession(
                id: id, provenUntil: provenUntil, lastProof: base,
                nextRenewal: sentAt.after(timing.renewalInterval)))
        actions.append(.connected(provenUntil: provenUntil))
        endIfOverdue(at: now)
        guard case .open = session else { return }
        for contender in contenders.keys.sorted() { apply(.sessionUp, to: contender, at: now) }
        for (id, request) in asking.sorted(by: { $0.key < $1.key }) { sendOverOpen(.marks(request, id), at: now) }
    }

    private mutating func renewed(_ sentAt: ContinuousClock.Instant, at now: ContinuousClock.Instant) {
        guard case .open(var open) = session else { return }
        let base = mutation.contains(.proofByReceiptTime) ? now : sentAt
        open.lastProof = max(open.lastProof, base)
        open.provenUntil = max(open.provenUntil, base.after(timing.proofLength))
        actions.append(.proven(until: open.provenUntil, sentAt: sentAt))
        if open.isSuspect, now < open.lastProof.after(timing.suspectAfter) {
            open.isSuspect = false
            actions.append(.suspect(false))
        }
        session = .open(open)
    }

    private mutating func end(_ reason: LossReason, tellBroker: Bool, retryAt: ContinuousClock.Instant?) {
        guard let id = sessionID else { return }
        session = .offline(retryAt: retryAt)
        outstanding = []
        for contender in raising.sorted() { raised(contender, false) }
        for contender in contenders.keys.sorted() { apply(.sessionDown(reason), to: contender, at: nil) }
        if tellBroker {
            numbers += 1
            actions.append(.send(Request(session: id, number: numbers, body: .close)))
        }
        actions.append(.disconnected(reason))
    }

    // MARK: Requests and deliveries

    private mutating func send(_ body: Request.Body, over id: SessionID, at now: ContinuousClock.Instant) {
        numbers += 1
        let request = Request(session: id, number: numbers, body: body)
        outstanding.append(Outstanding(number: numbers, sentAt: now, isRenewal: request.isRenewal))
        actions.append(.send(request))
    }

    private mutating func receive(_ delivery: Delivery, at now: ContinuousClock.Instant) {
        // Messages over a connection that has ended since are not handled.
        guard delivery.session == sessionID else { return }
        var sentAt: ContinuousClock.Instant?
        if let number = delivery.answers, let index = outstanding.firstIndex(where: { $0.number == number }) {
            sentAt = outstanding.remove(at: index).sentAt
        }
        switch delivery.body {
        case .opened:
            if case .opening(let id, let sentAt) = session { opened(id, sentAt: sentAt, at: now) }
        case .renewed: if let sentAt { renewed(sentAt, at: now) }
        case .joined: break
        case .refused(let contender): apply(.refused, to: contender, at: now)
        case .incompatible(let contender, let existing):
            apply(.incompatible(existing: existing), to: contender, at: now)
        case .granted(let name, let contender, let token):
            if contenders[contender] == nil {
                // Long gone: released, which the broker ignores if it was only a duplicate.
                if case .open(let open) = session { send(.release(name, contender), over: open.id, at: now) }
            } else {
                apply(.granted(token), to: contender, at: now)
            }
        case .withdrawn(let contender): apply(.withdrawn, to: contender, at: now)
        case .released(let contender): if let contender { apply(.released, to: contender, at: now) }
        case .raised(let contender, let isDone): raised(contender, isDone)
        case .marks(let marks, let id): answered(id, .success(marks))
        case .queueDeleted(let contender): apply(.queueDeleted, to: contender, at: now)
        case .closed: end(LossReason(.connectionClosed, "closed by the broker"), tellBroker: false, retryAt: now)
        }
    }

    private mutating func answered(_ id: MarkRequest.ID, _ result: Result<[DoneMark], LockError>) {
        if asking.removeValue(forKey: id) != nil { actions.append(.answered(id, result)) }
    }

    private mutating func raised(_ contender: ContenderID, _ isDone: Bool) {
        if raising.remove(contender) != nil { actions.append(.raised(contender, isDone)) }
    }

    private mutating func pollForAll(over id: SessionID, at now: ContinuousClock.Instant) {
        for (contender, machine) in contenders.sorted(by: { $0.key < $1.key }) where machine.state == .standing {
            send(.join(machine.name, contender, kind: kind, once: true), over: id, at: now)
        }
    }

    private mutating func apply(
        _ event: ContenderMachine.Event, to contender: ContenderID, at now: ContinuousClock.Instant?
    ) {
        guard var machine = contenders[contender] else { return }
        let action = machine.handle(event)
        contenders[contender] = machine.state == .ended ? nil : machine
        switch action {
        case nil: break
        case .join:
            let once = machine.once || mutation.contains(.polls)
            sendOverOpen(.join(machine.name, contender, kind: kind, once: once), at: now)
        case .withdraw(let error):
            sendOverOpen(.withdraw(machine.name, contender), at: now)
            actions.append(.failed(contender, error))
        case .release: sendOverOpen(.release(machine.name, contender), at: now)
        case .grant(let token): actions.append(.granted(contender, token))
        case .refuse: actions.append(.refused(contender))
        case .fail(let error): actions.append(.failed(contender, error))
        case .lose(let reason): actions.append(.lost(contender, reason))
        case .returned: actions.append(.returned(contender))
        }
    }

    private mutating func sendOverOpen(_ body: Request.Body, at now: ContinuousClock.Instant?) {
        guard let now, case .open(let open) = session else { return }
        send(body, over: open.id, at: now)
    }
}
