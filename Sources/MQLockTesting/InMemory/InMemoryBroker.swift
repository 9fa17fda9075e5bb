public import MQLock

/// A broker in memory: the other side of any number of ``InMemoryLocks``. Each of them is a session, as another process
/// would have it.
///
/// It keeps the whole lock protocol, sessions that die included, so the tests of a service need neither a broker nor
/// real time:
///
/// ```swift
/// let clock = ManualClock()
/// let broker = InMemoryBroker(clock: clock)
/// let mine = InMemoryLocks(broker), theirs = InMemoryLocks(broker)
/// let held = try await mine.acquire("orders")
/// mine.silence()
/// clock.advance(by: broker.sessionTimeout)      // ours is lost first, then theirs can be granted
/// ```
public final class InMemoryBroker: Sendable {
    let world: World

    /// After this long without a request the broker considers a session dead and hands its locks to the next in line.
    public var sessionTimeout: Duration { world.timing.sessionTimeout }

    /// The clock of the broker and of all its clients.
    public var clock: any LockClock { world.clock }

    /// Makes a broker without any sessions.
    /// - Parameters:
    ///   - clock: the clock that measures all durations.
    ///   - sessionTimeout: after this long without a request a session is dead. Clients renew every quarter of it.
    ///   - margin: what clients subtract from their proof of life; by default the larger of 200 ms and a tenth.
    ///   - requestTimeout: how long clients wait for an answer before they drop the session; by default half the
    ///     session timeout.
    public convenience init(
        clock: any LockClock = SystemLockClock(), sessionTimeout: Duration = .seconds(10), margin: Duration? = nil,
        requestTimeout: Duration? = nil
    ) {
        self.init(
            clock: clock, sessionTimeout: sessionTimeout, margin: margin, requestTimeout: requestTimeout, mutation: [])
    }

    /// - Parameter mutation: defects to build in, for testing tests.
    package init(
        clock: any LockClock = SystemLockClock(), sessionTimeout: Duration = .seconds(10), margin: Duration? = nil,
        requestTimeout: Duration? = nil, mutation: Mutation
    ) {
        world = World(
            clock: clock,
            timing: InMemoryTiming(sessionTimeout: sessionTimeout, margin: margin, requestTimeout: requestTimeout),
            mutation: mutation)
    }

    /// How many sessions the broker considers alive.
    public var sessions: Int { world.look { $0.broker.sessions } }

    /// How many requests the broker has received, renewals of sessions not counted.
    public var requests: Int { world.look { $0.broker.requests } }

    /// How many contenders the broker has in line for a name, the holder included.
    public func contenders(for name: LockName) -> Int { world.look { $0.broker.contenders(for: name) } }

    /// Ends and starts the broker: all sessions are closed, all lines are empty, tokens keep growing.
    ///
    /// A paused client learns of it only when it continues; until then two leases may look valid, as with any broker
    /// that forgets its sessions. Their tokens are in order.
    public func restart() {
        world.post { state, now in
            for id in state.clients.keys.sorted() {
                state.clients[id]?.handle(
                    .connectionClosed(LossReason(.connectionClosed, "the broker restarted")), at: now)
            }
            state.broker.restart()
        }
    }

    /// Ends the broker and starts it again without its data: all sessions are closed, and tokens begin again.
    ///
    /// No lock of one broker survives that; it is what a member of a `BrokerQuorum` may do.
    public func restartEmpty() {
        world.post { state, now in
            for id in state.clients.keys.sorted() {
                state.clients[id]?.handle(
                    .connectionClosed(LossReason(.connectionClosed, "the broker restarted")), at: now)
            }
            state.broker.loseData()
        }
    }

    /// Deletes the queue behind a name as an operator would: the holder loses the lock, waiters create the queue again.
    public func deleteQueue(of name: LockName) {
        world.post { state, _ in state.route(state.broker.delete(name)) }
    }

    /// Sets the time of day, which then moves with the clock: the time on all machines that are not off.
    /// - Parameter milliseconds: since 1970, from 0 to 2^50.
    public func setTimeOfDay(_ milliseconds: Int64) { world.setTimeOfDay(milliseconds) }

    /// Puts a queue of another kind where the name's queue would be.
    /// - Returns: false when the name's queue exists.
    @discardableResult
    public func occupy(_ name: LockName, kind: String) -> Bool {
        world.post { state, _ in state.broker.occupy(name, kind: kind) }
    }
}
