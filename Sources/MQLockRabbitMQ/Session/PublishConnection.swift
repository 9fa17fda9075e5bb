import MQLock

/// What uses the publish connection, and is notified when it comes up and when it goes.
protocol PublishConnectionUser: AnyObject {
    /// Whether the connection has to come up for it.
    var wantsConnection: Bool { get }
    func connected(_ link: Link)
    /// The connection is gone, or did not come up.
    func disconnected()
    /// The broker does not read what is published, or does again.
    func blocked(_ isBlocked: Bool)
}

/// The second connection of a session: publishes, and answers questions. It comes up when there is something to say, off
/// the path of an acquire.
///
/// Kept apart from the lock connection, because a broker with a memory or disk alarm stops reading from connections
/// that publish: a frozen holder would not be noticed there, and a release not be processed.
final class PublishConnection: LinkOwner {
    private let settings: SessionSettings
    private let loop: EventLoop
    private var users: [any PublishConnectionUser] = []
    private var state = State.down
    private let timers: Timers<Timer>
    private var failures = 0
    static let pause = GrowingDelay(.milliseconds(500) ... .seconds(30))
    /// In the broker's words.
    private var alarm: String?
    private var unreachable: String?

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

    init(_ settings: SessionSettings, on loop: EventLoop) {
        self.settings = settings
        self.loop = loop
        timers = Timers(loop)
    }

    /// Why publishes do not arrive at the moment; nil when nothing is known to be wrong.
    var obstacle: String? {
        if let alarm { return "the broker accepts no messages (\(alarm)): free memory or disk space there" }
        return unreachable.map { "a second connection, for publishing, does not come up: \($0)" }
    }

    var isBlocked: Bool { alarm != nil }

    func add(_ user: any PublishConnectionUser) { users.append(user) }

    /// Connects, should there be no connection.
    func connect() {
        guard case .down = state else { return }
        timers.stop(.retry)
        state = .connecting
        let (endpoint, timeout) = (settings.endpoint, settings.connectTimeout)
        let properties = ["connection_name": "mqlock \(settings.owner) publishes"]
        loop.offload {
            Result { () throws(ConnectionFailure) in
                try AMQPConnection.open(endpoint, timeout: timeout, clientProperties: properties)
            }
        } then: { [weak self] result in
            self?.opened(result)
        }
    }

    private func opened(_ result: Result<AMQPConnection, ConnectionFailure>) {
        guard case .connecting = state else {
            // Closed meanwhile.
            if case .success(let connection) = result {
                connection.moveToThisThread()
                connection.close()
            }
            return
        }
        switch result {
        case .success(let connection):
            let link = Link(connection, on: loop, requestTimeout: settings.requestTimeout)
            (state, unreachable, failures) = (.up(link), nil, 0)
            link.serve(for: self)
            for user in users { user.connected(link) }
        case .failure(let failure):
            unreachable = failure.message.escapedForDisplay
            down()
        }
    }

    func linkEnded(_ failure: ConnectionFailure) { down() }

    func linkBlocked(_ reason: String?) {
        alarm = reason?.escapedForDisplay
        for user in users { user.blocked(alarm != nil) }
    }

    private func down() {
        (state, alarm) = (.down, nil)
        for user in users { user.disconnected() }
        guard users.contains(where: \.wantsConnection) else { return }
        failures += 1
        timers.start(.retry, after: Self.pause.delay(before: failures)) { [weak self] in self?.connect() }
    }

    /// For good; what has been written leaves.
    /// - Parameter politely: says goodbye, so that the broker does not log a lost connection.
    func close(politely: Bool) {
        if case .up(let link) = state { politely ? link.close() : link.drop() }
        state = .closed
        timers.stopAll()
        let users = users
        self.users = []
        for user in users { user.disconnected() }
    }
}
