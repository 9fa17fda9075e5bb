import MQLock

/// The broker: first-come-first-served lines of contenders, one per name, and the sessions that they came over.
///
/// A pure value: requests and instants in, deliveries out.
struct BrokerState: Sendable {
    private struct Place: Sendable {
        let session: SessionID
        let contender: ContenderID
        var isGranted = false
    }

    private struct Line: Sendable {
        let kind: String
        /// Grows with every new queue and every restart, so a counter that begins again never repeats a token.
        var epoch: UInt64
        var grants: UInt64 = 0
        /// Every later token is above this: nothing, until a holder has raised it; then also what was granted since.
        var floor: UInt64
        var places: [Place] = []
    }

    let sessionTimeout: Duration
    let mutation: Mutation
    private var lines: [LockName: Line] = [:]
    private var lastHeard: [SessionID: ContinuousClock.Instant] = [:]
    private var epoch: UInt64 = 1
    /// The largest number that any name was raised to: a name that is created again begins above it.
    private var raised: UInt64 = 0
    /// By name, the last ones, the oldest first. Nothing removes them.
    private var marks: [LockName: [DoneMark]] = [:]
    /// Requests received so far, renewals not counted.
    private(set) var requests = 0

    init(sessionTimeout: Duration, mutation: Mutation) {
        self.sessionTimeout = sessionTimeout
        self.mutation = mutation
    }

    var sessions: Int { lastHeard.count }

    /// When the next session is dead if it stays silent.
    var nextDeadline: ContinuousClock.Instant? { lastHeard.values.min()?.after(sessionTimeout) }

    func contenders(for name: LockName) -> Int { lines[name]?.places.count ?? 0 }

    // MARK: Requests

    mutating func receive(_ request: Request, at now: ContinuousClock.Instant) -> [Delivery] {
        var deliveries = expire(at: now)
        if !request.isRenewal { requests += 1 }
        if case .open = request.body {
            lastHeard[request.session] = now
            return deliveries + [answer(request, .opened)]
        }
        guard lastHeard[request.session] != nil else { return deliveries + [answer(request, .closed)] }
        lastHeard[request.session] = now
        switch request.body {
        case .open: break
        case .renew: deliveries.append(answer(request, .renewed))
        case .join(let name, let contender, let kind, let once):
            deliveries += join(request, name, contender, kind: kind, once: once)
        case .withdraw(let name, let contender):
            lines[name]?.places.removeAll {
                $0.contender == contender && $0.session == request.session && !$0.isGranted
            }
            deliveries.append(answer(request, .withdrawn(contender)))
        case .release(let name, let contender):
            lines[name]?.places.removeAll { $0.contender == contender && $0.session == request.session }
            deliveries.append(answer(request, .released(contender)))
            deliveries += grant(name)
        case .releaseAnyone(let name):
            lines[name]?.places.removeAll(where: \.isGranted)
            deliveries.append(answer(request, .released(nil)))
            deliveries += grant(name)
        case .marks(let asked, let id):
            let marks = marks(after: asked)
            deliveries.append(answer(request, .marks(marks, id)))
        case .raise(let name, let contender, let number):
            deliveries.append(
                answer(request, .raised(contender, raise(name, contender, of: request.session, to: number))))
        case .close: deliveries += drop(request.session)
        }
        return deliveries
    }

    private mutating func marks(after request: MarkRequest) -> [DoneMark] {
        switch request {
        case .read(let name): return marks[name] ?? []
        case .write(let mark, let name):
            var kept = marks[name] ?? []
            if !kept.contains(mark) { kept.append(mark) }
            kept = Array(kept.suffix(DoneMark.kept))
            marks[name] = kept
            return kept
        }
    }

    private mutating func join(
        _ request: Request, _ name: LockName, _ contender: ContenderID, kind: String, once: Bool
    ) -> [Delivery] {
        var line = lines[name] ?? newLine(kind)
        defer { lines[name] = line }
        guard line.kind == kind || mutation.contains(.kindNotChecked) else {
            return [answer(request, .incompatible(contender, existing: line.kind))]
        }
        guard !once || line.places.isEmpty else { return [answer(request, .refused(contender))] }
        line.places.append(Place(session: request.session, contender: contender))
        return [answer(request, .joined(contender))] + grant(name, in: &line)
    }

    private mutating func newLine(_ kind: String) -> Line {
        if !mutation.contains(.tokensForgottenOnDelete) { epoch += 1 }
        return Line(kind: kind, epoch: epoch, floor: raised)
    }

    private mutating func raise(
        _ name: LockName, _ contender: ContenderID, of session: SessionID, to number: UInt64
    ) -> Bool {
        guard var line = lines[name],
            line.places.contains(where: { $0.contender == contender && $0.session == session && $0.isGranted })
        else { return false }
        guard !mutation.contains(.raiseForgotten) else { return true }
        line.floor = max(line.floor, number)
        lines[name] = line
        raised = max(raised, number)
        return true
    }

    private func answer(_ request: Request, _ body: Delivery.Body) -> Delivery {
        Delivery(session: request.session, answers: request.number, body: body)
    }

    private mutating func grant(_ name: LockName) -> [Delivery] {
        guard var line = lines[name] else { return [] }
        defer { lines[name] = line }
        return grant(name, in: &line)
    }

    private func grant(_ name: LockName, in line: inout Line) -> [Delivery] {
        var deliveries: [Delivery] = []
        for index in line.places.indices.prefix(mutation.contains(.secondProcessGranted) ? 2 : 1)
        where !line.places[index].isGranted {
            line.places[index].isGranted = true
            if !mutation.contains(.tokenNotIncreased) || line.grants == 0 { line.grants += 1 }
            // 2^31 restarts and 2^32 grants fit below 2^63; a test that needs more has gone wrong.
            guard line.epoch < 1 << 31, line.grants < 1 << 32,
                let token = FencingToken(rawValue: max(line.epoch << 32 | line.grants, line.floor + 1))
            else { preconditionFailure("the in-memory broker has no tokens left for \(name)") }
            if line.floor > 0, !mutation.contains(.tokenNotIncreased) { line.floor = token.rawValue }
            let place = line.places[index]
            deliveries.append(
                Delivery(session: place.session, answers: nil, body: .granted(name, place.contender, token)))
        }
        return deliveries
    }

    // MARK: Ends

    /// Drops the sessions that were silent for the session timeout, and hands their locks to the next in line.
    mutating func expire(at now: ContinuousClock.Instant) -> [Delivery] {
        let dead = lastHeard.filter { $0.value.after(sessionTimeout) <= now }.keys
        return dead.sorted { ($0.client, $0.attempt) < ($1.client, $1.attempt) }.flatMap { session in
            drop(session) + [Delivery(session: session, answers: nil, body: .closed)]
        }
    }

    /// Forgets a session and hands its locks to the next in line.
    mutating func drop(_ session: SessionID) -> [Delivery] {
        guard lastHeard.removeValue(forKey: session) != nil else { return [] }
        var deliveries: [Delivery] = []
        for name in lines.keys.sorted(by: { $0.utf8.lexicographicallyPrecedes($1.utf8) }) {
            lines[name]?.places.removeAll { $0.session == session }
            deliveries += grant(name)
        }
        return deliveries
    }

    // MARK: Faults

    /// Forgets all sessions and lines; queues stay, and with them their kinds, under a new epoch of tokens.
    mutating func restart() {
        lastHeard = [:]
        for name in lines.keys {
            lines[name]?.places = []
            guard !mutation.contains(.tokenNotIncreased) else { continue }
            epoch += 1
            lines[name]?.epoch = epoch
            lines[name]?.grants = 0
        }
    }

    /// Forgets everything.
    mutating func loseData() {
        (lines, lastHeard, marks) = ([:], [:], [:])
        (epoch, raised) = (1, 0)
    }

    /// Deletes a queue as an operator would; its contenders are notified.
    mutating func delete(_ name: LockName) -> [Delivery] {
        guard let line = lines.removeValue(forKey: name) else { return [] }
        return line.places.map { Delivery(session: $0.session, answers: nil, body: .queueDeleted($0.contender)) }
    }

    /// Puts a queue of another kind where the name's queue would be; false when there is one.
    mutating func occupy(_ name: LockName, kind: String) -> Bool {
        guard lines[name] == nil else { return false }
        lines[name] = newLine(kind)
        return true
    }
}
