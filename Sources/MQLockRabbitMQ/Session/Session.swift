import MQLock

/// One session with one broker: the lock connection with its proof of life, and the publish connection when it is
/// needed. All leases granted over it are lost when it ends. A session is never reopened: the supervisor opens another.
///
/// The lock connection never publishes; see `PublishConnection`.
final class Session: LinkOwner, ChannelHandler {
    /// The events that the supervisor gets.
    enum Event {
        /// The first proof has arrived: the session is up.
        case ready
        case suspect(Bool)
        case proven(roundTrip: Duration)
        /// The last event.
        case ended(SessionEnd)
    }

    /// Identifies this session in answers about holders and waiters.
    let identity: Nonce
    let link: Link
    /// The session's host, one of those in the URI.
    let host: Endpoint.Host
    let vhost: String
    let cluster: KnownCluster?
    let publishing: PublishConnection
    let publisher: Publisher
    let presence: PresenceRegistry
    let proof: ProofOfLife
    /// The behavior of this broker's version.
    let behavior: BrokerBehavior
    /// The negotiated T.
    let heartbeat: Duration
    /// How long an answer proves the session, from the sending of its request.
    let proofWindow: Duration

    private let notify: (Event) -> Void
    private let timers: Timers<Timer>
    private var schedule: ProofSchedule
    private var proofChannel: Channel?
    private var isReady = false
    private var isSuspect = false
    private var end: SessionEnd?

    private enum Timer { case pulse }

    /// - Parameters:
    ///   - connection: logged in, by `Session.open` with the same identity.
    ///   - channelLimit: how many channels the broker admits, if the last session ended because of that limit.
    ///   - notify: called on the loop, until `ended`.
    init(
        _ connection: AMQPConnection, _ identity: Nonce, _ locks: Locks, channelLimit: Int? = nil,
        _ notify: @escaping (Event) -> Void
    ) {
        let (settings, loop) = (locks.settings, locks.loop)
        self.identity = identity
        link = Link(
            connection, on: loop, requestTimeout: settings.requestTimeout, prefetch: settings.mutex.prefetch,
            channelLimit: channelLimit)
        (host, vhost) = (connection.endpoint.hosts[0], settings.endpoint.vhost)
        cluster = KnownCluster(connection)
        publishing = PublishConnection(settings, at: host, of: cluster, on: loop)
        publisher = Publisher(publishing, settings, on: loop)
        presence = PresenceRegistry(locks, publishing, identity: identity)
        behavior = BrokerBehavior(BrokerVersion(announced: link.brokerVersion))
        heartbeat = link.heartbeat
        proofWindow = settings.proofWindow(heartbeat: heartbeat)
        let now = ContinuousClock.now
        schedule = ProofSchedule(window: proofWindow, heartbeat: heartbeat, start: now)
        // Until the first answer this only limits how long we wait for it: nothing is granted before.
        proof = ProofOfLife(until: now.after(proofWindow))
        timers = Timers(loop)
        self.notify = notify
    }

    /// Connects and logs in; blocks until that is done.
    /// - Parameters:
    ///   - endpoint: the endpoint of the settings, starting with the host to try first.
    ///   - cluster: the cluster of the last session.
    static func open(
        _ settings: SessionSettings, _ endpoint: Endpoint, _ identity: Nonce, _ attempt: ConnectionAttempt,
        in cluster: KnownCluster?
    ) throws(ConnectionFailure) -> AMQPConnection {
        try AMQPConnection.open(
            endpoint, timeout: settings.connectTimeout,
            clientProperties: ["connection_name": connectionName(settings.owner, identity)], attempt: attempt
        ) { (connection) throws(ConnectionFailure) in try cluster?.check(connection) }
    }

    /// Lets operators find the connection that carries a holder's locks.
    static func connectionName(_ owner: String, _ identity: Nonce) -> String {
        "mqlock \(owner.prefix(200)) locks \(identity)"
    }

    /// Starts to serve the connection and to request proofs.
    func start() {
        link.serve(for: self)
        proofChannel = link.openBare(for: self)
        pulse()
    }

    // MARK: Proof of life

    /// Whether a lock can be granted now. If the proof has run out, this ends the session.
    var isProven: Bool {
        if end == nil, proof.isAlive { return true }
        link.fail(ConnectionFailure(.heartbeatTimeout))
        return false
    }

    /// Sends the next request for a proof, checks whether an answer is overdue, and runs again in time for both.
    private func pulse() {
        guard isProven, let until = proof.provenUntil else { return }
        let now = ContinuousClock.now
        if schedule.isOverdue(at: now) { setSuspect(true) }
        if schedule.nextRequest <= now {
            schedule.sending(at: now)
            proofChannel?.write { connection, channel throws(ConnectionFailure) in
                try connection.basicQos(channel, prefetch: 1)
            }
        }
        timers.start(.pulse, at: min(schedule.nextRequest, until)) { [weak self] in self?.pulse() }
    }

    func received(_ inbound: Inbound, on channel: Channel) {
        switch inbound {
        case .qosOK: proven()
        case .channelClosed(_, let code, let text, _, _):
            link.fail(ConnectionFailure(.brokerClosed(code: code, text: text)))
        default: break
        }
    }

    private func proven() {
        guard let until = schedule.answered() else { return }
        guard proof.extend(to: until) else {
            _ = isProven
            return
        }
        let now = ContinuousClock.now
        if !schedule.isOverdue(at: now) { setSuspect(false) }
        notify(.proven(roundTrip: until.before(proofWindow).duration(to: now)))
        guard !isReady else { return }
        isReady = true
        notify(.ready)
    }

    private func setSuspect(_ suspect: Bool) {
        guard isSuspect != suspect else { return }
        isSuspect = suspect
        notify(.suspect(suspect))
    }

    // MARK: Ending

    func linkEnded(_ failure: ConnectionFailure) {
        finish(proof.isAlive ? .failed(failure) : .proofOverdue)
    }

    func linkBlocked(_ reason: String?) {}

    /// Closes both connections cleanly. The supervisor is not notified.
    func close() {
        guard end == nil else { return }
        end = .shutdown
        stop(politely: true)
        link.close()
    }

    private func finish(_ end: SessionEnd) {
        guard self.end == nil else { return }
        self.end = end
        // Ends the leases first, with the reason: otherwise a lease checked after the end of the proof would report
        // *overdue*.
        notify(.ended(end))
        stop(politely: false)
    }

    private func stop(politely: Bool) {
        proof.end()
        timers.stopAll()
        proofChannel = nil
        publishing.close(politely: politely)
        presence.close()
    }
}
