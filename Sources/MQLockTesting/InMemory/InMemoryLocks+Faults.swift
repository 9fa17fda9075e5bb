import MQLock

/// Faults that a test can put between this client and the broker. Each takes effect before the call returns.
extension InMemoryLocks {
    /// One of the two directions on the network.
    public enum Direction: Sendable {
        /// Requests.
        case toBroker
        /// Answers and grants.
        case toClient
    }

    /// Closes the connection; both sides notice at once, the client first.
    public func dropSession() {
        endpoint.world.post { [id = endpoint.id] state, now in
            let session = state.clients[id]?.state.sessionID
            state.clients[id]?.handle(
                .connectionClosed(LossReason(.connectionClosed, "dropped by the test")), at: now)
            if let session { state.route(state.broker.drop(session)) }
        }
    }

    /// Lets nothing pass any more, without notifying either side. Messages stay in flight.
    public func silence() {
        hold(.toBroker)
        hold(.toClient)
    }

    /// Lets everything pass again, and delivers what is in flight.
    public func heal() {
        link {
            $0.holdsRequests = false
            $0.holdsDeliveries = false
        }
    }

    /// Keeps messages of one direction in flight until ``unhold(_:)``.
    public func hold(_ direction: Direction) { setHold(direction, true) }

    /// Delivers what was held and holds no more.
    public func unhold(_ direction: Direction) { setHold(direction, false) }

    /// How many messages are in flight; without a hold or a pause there are none between two steps of a test.
    public func inFlight(_ direction: Direction) -> Int {
        endpoint.world.look { $0.clients[endpoint.id]?.link.inFlight(direction) ?? 0 }
    }

    /// Delivers the oldest message in flight although it is held; false when there is none.
    @discardableResult
    public func deliverNext(_ direction: Direction) -> Bool {
        endpoint.world.post { state, now in state.deliver(direction, of: endpoint.id, at: now) }
    }

    /// Loses the next message of one direction, renewals and their answers not counted.
    ///
    /// When the answer to its own request is lost, the client notices in time and ends the session. When a grant that
    /// comes unasked is lost, it notices only when the session ends: no connection loses a message and lives on.
    public func dropNext(_ direction: Direction) {
        link { direction == .toBroker ? ($0.requestsToDrop += 1) : ($0.deliveriesToDrop += 1) }
    }

    /// Delivers the next message to the client twice, answers to renewals not counted.
    public func duplicateNextDelivery() {
        link { $0.deliveriesToDouble += 1 }
    }

    /// Stops the client as SIGSTOP stops a process: it handles nothing and sends nothing, while the clock runs on.
    public func pause() {
        link { $0.isPaused = true }
    }

    /// Lets a paused client continue.
    public func resume() {
        endpoint.post { client, now in client.resume(at: now) }
    }

    /// Sets the clock of this client's machine ahead of the broker's ``InMemoryBroker/setTimeOfDay(_:)``, or behind it.
    ///
    /// This affects only what asks for the time of day; validity goes by a clock that no one sets.
    public func setTimeOfDay(ahead difference: Duration) {
        endpoint.ahead.withLock { $0 = difference.bounded.nanoseconds / 1_000_000 }
    }

    private func setHold(_ direction: Direction, _ isHeld: Bool) {
        link { direction == .toBroker ? ($0.holdsRequests = isHeld) : ($0.holdsDeliveries = isHeld) }
    }

    private func link(_ body: (inout Link) -> Void) {
        endpoint.post { client, _ in body(&client.link) }
    }
}
