import MQLock

/// Why a session ended.
enum SessionEnd: Sendable {
    case failed(ConnectionFailure)
    /// The broker did not prove in time that the session lives.
    case proofOverdue
    /// A request was not answered by its deadline: what it did is unknown, and only a new session can tell.
    case requestUnanswered
    case shutdown

    /// What holders are told.
    var lossReason: LossReason {
        switch self {
        case .failed(let failure): LossReason(.connectionClosed, failure.message)
        case .proofOverdue: LossReason(.proofOverdue)
        case .requestUnanswered: LossReason(.connectionClosed, "the broker left a request unanswered")
        case .shutdown: LossReason(.shutdown)
        }
    }
}

/// The lock connection of a session, on its loop's thread: sends, hands out what comes in, proves life, and ends
/// everything at once when it cannot. It never publishes, because a broker with an alarm stops reading from
/// publishers: a frozen holder would not be noticed then, and a release not be processed.
///
/// Not sendable in truth: it lives on its loop's thread. The compiler cannot follow the actor's isolation through the
/// loop's callbacks, hence unchecked; the same goes for all that hangs on it.
final class SessionCore: @unchecked Sendable {
    let settings: SessionSettings
    let loop: EventLoop
    /// What this broker does with the locks of this session.
    let behaviour: BrokerBehaviour
    let proof: ProofOfLife
    /// What both sides agreed on.
    let heartbeat: Duration
    /// How long an answer proves, from the sending of its request.
    let proofWindow: Duration
    /// How long a request may go unanswered.
    private let connection: AMQPConnection
    private var channels: ChannelTable
    private var schedule: ProofSchedule
    private var requests: [UInt16: [ContinuousClock.Instant]] = [:]
    /// Closed for an unanswered request, and the close not answered either.
    private var hanging: Set<UInt16> = []
    private var beat: TimerID?
    private var isSuspect = false
    /// Set once; from then on nothing is sent and nothing is handed out.
    private(set) var end: SessionEnd?

    /// Called at the first proof, with nil, or with the end that came before it.
    private var onReady: ((SessionEnd?) -> Void)?
    /// Called when a session that had become ready ends.
    var onEnd: ((SessionEnd) -> Void)?
    var onSuspect: ((Bool) -> Void)?
    /// Called at every proof, with the time that its answer took.
    var onProven: ((Duration) -> Void)?
    /// Called first of all when the session ends: its leases are lost.
    var onEnding: ((LossReason) -> Void)?

    private static let proofChannel: UInt16 = 1
    private static let maximumHanging = 64

    init(loop: EventLoop, connection: AMQPConnection, settings: SessionSettings) {
        self.loop = loop
        self.connection = connection
        self.settings = settings
        behaviour = BrokerBehaviour(BrokerVersion(announced: connection.server.version), settings.durability)
        heartbeat = connection.heartbeat
        proofWindow = settings.proofWindow(heartbeat: heartbeat)
        let now = ContinuousClock.now
        schedule = ProofSchedule(window: proofWindow, heartbeat: heartbeat, start: now)
        // Until the first answer this is only how long we wait for it: nothing is granted before.
        proof = ProofOfLife(until: now.advanced(by: proofWindow))
        channels = ChannelTable(first: Self.proofChannel + 1, last: connection.channelMax)
    }

    /// Begins to serve: asks for the first proof and watches the socket.
    func start(ready: @escaping (SessionEnd?) -> Void) {
        onReady = ready
        connection.beginBatch()
        perform { connection throws(ConnectionFailure) in try connection.channelOpen(Self.proofChannel) }
        loop.watch(
            connection.socketDescriptor, hasBuffered: { [unowned self] in end == nil && connection.hasBufferedInput }
        ) {
            [unowned self] in readable()
        }
        loop.afterTurn = { [unowned self] in connection.flush() }
        pulse()
    }

    // MARK: Sending

    /// Writes to the connection; a failure ends the session. Does nothing when it has ended.
    func perform(_ body: (AMQPConnection) throws(ConnectionFailure) -> Void) {
        guard end == nil else { return }
        do throws(ConnectionFailure) {
            try body(connection)
        } catch {
            finish(.failed(error))
        }
    }

    /// Writes a request that the broker has to answer in time on this channel.
    func request(on channel: UInt16, _ body: (AMQPConnection) throws(ConnectionFailure) -> Void) {
        requests[channel, default: []].append(ContinuousClock.now)
        perform(body)
    }

    /// A new channel with its number; nil when the broker allows no more on this connection.
    func openChannel(for handler: any ChannelHandler) -> UInt16? {
        guard let channel = channels.allocate(for: handler) else { return nil }
        // Nothing waits for open-ok: the broker takes the frames of a channel in order.
        perform { connection throws(ConnectionFailure) in try connection.channelOpen(channel) }
        return channel
    }

    func closeChannel(_ channel: UInt16) {
        channels.closed(channel)
        requests[channel] = nil
        perform { connection throws(ConnectionFailure) in try connection.channelClose(channel) }
    }

    /// Whether the broker has yet to confirm that a channel is closed, after which another can be opened.
    var isClosingChannels: Bool { channels.isClosing }

    /// How many channels the broker allows.
    var channelCapacity: Int { channels.capacity }

    func assign(_ channel: UInt16, to handler: any ChannelHandler) { channels.assign(channel, to: handler) }

    // MARK: Receiving

    private func readable() {
        // A process that was stopped may find an old delivery here after the broker has given the lock to another.
        guard stillProven() else { return }
        do throws(ConnectionFailure) {
            try connection.readAvailable { [unowned self] inbound in
                if end == nil { handle(inbound) }
            }
        } catch {
            finish(.failed(error))
        }
    }

    private func handle(_ inbound: Inbound) {
        let channel = inbound.channel
        if inbound.isAnswer { answered(channel) }
        switch inbound {
        case .connectionClosed(let code, let text):
            finish(.failed(ConnectionFailure(.brokerClosed(code: code, text: text))))
        case .qosOK(Self.proofChannel): proven()
        case .channelClosed(Self.proofChannel, let code, let text, _, _):
            finish(.failed(ConnectionFailure(.brokerClosed(code: code, text: text))))
        case .channelCloseOK:
            channels.closeConfirmed(channel)
            hanging.remove(channel)
        case .channelClosed:
            requests[channel] = nil
            channels.closedByBroker(channel)?.received(inbound)
        default: channels.handler(of: channel)?.received(inbound)
        }
    }

    private func answered(_ channel: UInt16) {
        guard var sent = requests[channel] else { return }
        sent.removeFirst()
        requests[channel] = sent.isEmpty ? nil : sent
    }

    // MARK: Proof of life

    /// Sends the next request for a proof, looks whether anything is overdue, and comes again in time for both.
    private func pulse() {
        guard stillProven() else { return }
        let now = ContinuousClock.now
        settleOverdueRequests(now)
        guard end == nil else { return }
        if schedule.isOverdue(at: now) { setSuspect(true) }
        if schedule.nextRequest <= now {
            schedule.sending(at: now)
            perform { connection throws(ConnectionFailure) in
                try connection.basicQos(Self.proofChannel, prefetch: 1)
                // Heartbeats leave only inside calls that read.
                connection.flush()
            }
        }
        guard end == nil, let until = proof.provenUntil else { return }
        beat = loop.schedule(at: min(schedule.nextRequest, until)) { [unowned self] in pulse() }
    }

    /// Rule 8: what became of an unanswered request is not guessed. Closing its channel settles it, because the broker
    /// undoes what a channel did when it closes, whenever that is; the locks of other channels live on. (RabbitMQ 3.10.8
    /// leaves requests to a quorum queue unanswered whose node was killed right after its declaration.)
    private func settleOverdueRequests(_ now: ContinuousClock.Instant) {
        for (channel, sent) in requests where sent[0].advanced(by: settings.requestTimeout) <= now {
            // A broker on which more and more channels hang is not to be trusted with the rest.
            hanging.insert(channel)
            guard hanging.count <= Self.maximumHanging else { return finish(.requestUnanswered) }
            let handler = channels.handler(of: channel)
            closeChannel(channel)
            handler?.received(
                .channelClosed(
                    channel: channel, code: ChannelFault.unanswered,
                    text: "the broker did not answer within \(settings.requestTimeout.readable)", classID: 0,
                    methodID: 0))
        }
    }

    private func proven() {
        guard let until = schedule.answered() else { return }
        guard proof.extend(to: until) else { return finish(.proofOverdue) }
        let now = ContinuousClock.now
        if !schedule.isOverdue(at: now) { setSuspect(false) }
        onProven?(until.advanced(by: .zero - proofWindow).duration(to: now))
        onReady?(nil)
        onReady = nil
    }

    private func stillProven() -> Bool {
        guard end == nil else { return false }
        if proof.isAlive { return true }
        finish(.proofOverdue)
        return false
    }

    private func setSuspect(_ suspect: Bool) {
        guard isSuspect != suspect else { return }
        isSuspect = suspect
        onSuspect?(suspect)
    }

    // MARK: Ending

    /// Ends the session: no lease is valid from here on, and the broker sees the connection go.
    func finish(_ end: SessionEnd) {
        guard self.end == nil else { return }
        self.end = end
        // Leases first, with the reason: whoever looks at one after the proof has ended would call it overdue.
        onEnding?(end.lossReason)
        proof.end()
        if let beat { loop.cancel(beat) }
        loop.unwatch()
        loop.afterTurn = nil
        if case .shutdown = end { connection.close() } else { connection.abort() }
        channels.removeAll()
        requests = [:]
        if let onReady {
            self.onReady = nil
            onReady(end)
        } else {
            onEnd?(end)
        }
        onEnd = nil
    }
}

extension Inbound {
    /// Whether this answers a request made by `SessionCore.request`.
    fileprivate var isAnswer: Bool {
        switch self {
        case .queueDeclareOK, .queueDeleteOK, .consumeOK, .gotMessage, .getEmpty: true
        default: false
        }
    }
}
