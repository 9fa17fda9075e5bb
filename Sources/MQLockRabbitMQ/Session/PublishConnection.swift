import MQLock

/// A user of the publish connection; it is notified when the connection comes up and when it ends.
protocol PublishConnectionUser: AnyObject {
    /// Whether this user needs the connection.
    var wantsConnection: Bool { get }
    func connected(_ link: Link)
    /// The connection has ended, or did not come up.
    func disconnected()
    /// The broker has stopped reading what is published, or reads again.
    func blocked(_ isBlocked: Bool)
}

/// The second connection of a session: it publishes, and answers questions. It is opened when there is something to
/// publish, off the path of an acquire.
///
/// It is separate from the lock connection, because a broker with a memory or disk alarm stops reading from connections
/// that publish. On a shared connection a frozen holder would not be noticed, and a release would not be processed.
final class PublishConnection: LinkOwner {
    private let settings: SessionSettings
    private let loop: EventLoop
    private var users: [any PublishConnectionUser] = []
    private var state = State.down
    private let timers: Timers<Timer>
    private var failures = FailureCount()
    private var attempt: ConnectionAttempt?
    /// The session's own host first.
    private let endpoint: Endpoint
    private let cluster: KnownCluster?
    static let pause = GrowingDelay(.milliseconds(500) ... .seconds(30))
    /// The broker's text.
    private var alarm: String?
    private var unreachable: String?
    private var pauseEnd: ContinuousClock.Instant?
    /// Whether it has ever been up.
    private(set) var hasBeenUp = false

    /// Each case says where it can go.
    private enum State {
        /// To `connecting`, `closed`.
        case down
        /// To `up`, `down`, `closed`.
        case connecting
        /// To `down`, `closed`.
        case up(Link)
        case closed
    }

    private enum Timer { case retry }

    /// - Parameters:
    ///   - host: the host of the session.
    ///   - cluster: the cluster of that host.
    init(_ settings: SessionSettings, at host: Endpoint.Host, of cluster: KnownCluster?, on loop: EventLoop) {
        self.settings = settings
        endpoint = settings.endpoint.beginning(at: host)
        self.cluster = cluster
        self.loop = loop
        timers = Timers(loop)
    }

    /// Why publishes do not arrive at the moment; nil when no problem is known.
    var obstacle: String? {
        if let alarm { return "the broker accepts no messages (\(alarm)): free memory or disk space there" }
        return unreachable.map { "a second connection, for publishing, does not come up: \($0)" }
    }

    var isBlocked: Bool { alarm != nil }

    /// Whether connecting is paused, because the last attempts have failed.
    var isPausing: Bool {
        guard case .down = state, let pauseEnd else { return false }
        return pauseEnd > .now
    }

    /// Whether a publish would be confirmed soon.
    var canConfirm: Bool { if case .up = state { alarm == nil } else { false } }

    func add(_ user: any PublishConnectionUser) { users.append(user) }

    /// Connects if there is no connection. After a failure it waits until the pause is over, however often this is
    /// called.
    func connect() {
        guard case .down = state else { return }
        if let pauseEnd, pauseEnd > .now { return retry(at: pauseEnd) }
        timers.stop(.retry)
        state = .connecting
        let attempt: ConnectionAttempt
        do throws(ConnectionFailure) {
            attempt = try ConnectionAttempt(lookUp: settings.lookUp)
        } catch {
            return opened(.failure(error))
        }
        self.attempt = attempt
        let (endpoint, cluster, timeout) = (endpoint, cluster, settings.connectTimeout)
        let properties = ["connection_name": "mqlock \(settings.owner) publishes"]
        let isBegun = loop.offload {
            Result { () throws(ConnectionFailure) in
                try AMQPConnection.open(
                    endpoint, timeout: timeout, clientProperties: properties, attempt: attempt
                ) { (connection) throws(ConnectionFailure) in try cluster?.check(connection) }
            }
        } then: { [weak self] result in
            self?.opened(result)
        }
        if !isBegun { opened(.failure(.outOfThreads)) }
    }

    private func opened(_ result: Result<AMQPConnection, ConnectionFailure>) {
        guard case .connecting = state else {
            // Was closed meanwhile.
            if case .success(let connection) = result {
                connection.moveToThisThread()
                connection.close()
            }
            return
        }
        attempt = nil
        switch result {
        case .success(let connection):
            let link = Link(connection, on: loop, requestTimeout: settings.requestTimeout)
            (state, unreachable, hasBeenUp) = (.up(link), nil, true)
            failures.cameUp(at: .now)
            link.serve(for: self)
            for user in users { user.connected(link) }
        case .failure(let failure):
            down(failure)
        }
    }

    func linkEnded(_ failure: ConnectionFailure) { down(failure) }

    func linkBlocked(_ reason: String?) {
        alarm = reason?.escapedForDisplay
        for user in users { user.blocked(alarm != nil) }
    }

    private func down(_ failure: ConnectionFailure) {
        (state, alarm) = (.down, nil)
        let hasLasted = failures.ended(at: .now, lasting: Self.pause.longest)
        // A connection that has lasted will come up again when it is needed.
        unreachable = hasLasted ? nil : failure.message.escapedForDisplay
        pauseEnd = .now.after(Self.pause.delay(before: failures.count))
        for user in users { user.disconnected() }
        if users.contains(where: \.wantsConnection) { connect() }
    }

    private func retry(at instant: ContinuousClock.Instant) {
        guard !timers.isRunning(.retry) else { return }
        timers.start(.retry, at: instant) { [weak self] in self?.connect() }
    }

    /// Closes for good; what has been written is sent.
    /// - Parameter politely: sends connection.close, so the broker does not log a lost connection.
    func close(politely: Bool) {
        if case .up(let link) = state { politely ? link.close() : link.drop() }
        state = .closed
        attempt?.cancel()
        attempt = nil
        timers.stopAll()
        let users = users
        self.users = []
        for user in users { user.disconnected() }
    }
}
