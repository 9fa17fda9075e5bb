import MQLock

/// The broker, its clients and the network between them, as one thing that moves in steps.
/// Everything happens under one lock and in a fixed order: when the call that posts an event returns, everything that
/// follows from the event is done, deliveries included. That makes tests on a ``ManualClock`` repeatable.
final class World: Sendable {
    struct State {
        var broker: BrokerState
        /// By number, which is also the order in which their messages are carried.
        var clients: [Int: Client] = [:]
        var alarm: Alarm?
        var lastClient = 0
        var lastContender: UInt64 = 0
        var lastAsk: UInt64 = 0
        /// Milliseconds since 1970 when the clock showed `start`; machines may be off by their own difference.
        var timeOfDay = WallClock.now
    }

    let clock: any LockClock
    let timing: InMemoryTiming
    let mutation: Mutation
    private let start: ContinuousClock.Instant
    private let state: Locked<State>

    init(clock: any LockClock, timing: InMemoryTiming, mutation: Mutation) {
        self.clock = clock
        self.timing = timing
        self.mutation = mutation
        start = clock.now
        state = Locked(State(broker: BrokerState(sessionTimeout: timing.sessionTimeout, mutation: mutation)))
    }

    deinit { state.withLock { $0.alarm?.cancel() } }

    /// Does `body` and everything that follows from it.
    func post<Result>(_ body: (inout State, ContinuousClock.Instant) -> Result) -> Result {
        let (result, wakes) = state.withLock { state in
            let result = body(&state, clock.now)
            state.carry(at: clock.now)
            rearm(&state)
            return (result, state.takeWakes())
        }
        for wake in wakes { wake() }
        return result
    }

    /// Reads, and changes nothing.
    func look<Result>(_ body: (State) -> Result) -> Result { state.withLock { body($0) } }

    /// Milliseconds since 1970; goes with the clock.
    var timeOfDay: Int64 {
        look { $0.timeOfDay + start.duration(to: clock.now).nanoseconds / 1_000_000 }
    }

    func setTimeOfDay(_ milliseconds: Int64) {
        let elapsed = start.duration(to: clock.now).nanoseconds / 1_000_000
        post { state, _ in state.timeOfDay = min(max(0, milliseconds), 1 << 50) - elapsed }
    }

    private func rearm(_ state: inout State) {
        let deadlines = state.clients.values.compactMap { $0.link.isPaused ? nil : $0.state.nextDeadline }
        guard let deadline = (deadlines + [state.broker.nextDeadline].compactMap { $0 }).min() else { return }
        // An alarm that is early only causes a needless tick.
        if let alarm = state.alarm, alarm.deadline <= deadline { return }
        state.alarm?.cancel()
        state.alarm = Alarm(at: deadline, on: clock) { [weak self] in self?.tick() }
    }

    private func tick() {
        post { state, now in
            state.alarm = nil
            // Clients first: at one and the same instant a lease ends before the broker grants the lock again.
            for id in state.clients.keys.sorted() { state.clients[id]?.handle(.tick, at: now) }
            state.route(state.broker.expire(at: now))
        }
    }
}

extension World.State {
    /// Tasks to wake without the lock: waking a task takes its own lock, which a cancellation of that task holds while
    /// its handler waits for this one.
    mutating func takeWakes() -> [Client.Wake] {
        clients.keys.sorted().flatMap { id in
            defer { clients[id]?.wakes = [] }
            return clients[id]?.wakes ?? []
        }
    }

    /// Carries messages until nothing moves any more.
    mutating func carry(at now: ContinuousClock.Instant) {
        var hasMoved: Bool
        repeat {
            hasMoved = false
            for id in clients.keys.sorted() {
                while clients[id]?.link.canDeliver(.toBroker) == true {
                    deliver(.toBroker, of: id, at: now)
                    hasMoved = true
                }
                while clients[id]?.link.canDeliver(.toClient) == true {
                    deliver(.toClient, of: id, at: now)
                    hasMoved = true
                }
            }
        } while hasMoved
    }

    /// Carries one message, held or not; false when there is none.
    @discardableResult
    mutating func deliver(_ direction: InMemoryLocks.Direction, of id: Int, at now: ContinuousClock.Instant) -> Bool {
        switch direction {
        case .toBroker:
            guard let request = clients[id]?.link.takeRequest() else { return false }
            route(broker.receive(request, at: now))
        case .toClient:
            guard let delivery = clients[id]?.link.takeDelivery() else { return false }
            clients[id]?.handle(.delivery(delivery), at: now)
        }
        return true
    }

    mutating func route(_ deliveries: [Delivery]) {
        for delivery in deliveries { clients[delivery.session.client]?.link.append(delivery) }
    }
}
