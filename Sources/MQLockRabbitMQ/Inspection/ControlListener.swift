import MQLock

/// The control channel of a session, on its publish connection: receives questions to the session's contenders, and
/// sends their answers.
///
/// No lock depends on it. A failure here is retried later, or ends the listening with one warning.
final class ControlListener: PublishConnectionUser, ChannelHandler {
    private static let tag = "control"

    /// Each case says where it can go.
    enum State: Equatable {
        /// No channel. To `listening`.
        case off
        /// The channel is open, as far as we know. To `off`, `refused`.
        case listening
        /// The broker does not permit it: until the session's end.
        case refused
    }

    private let connection: PublishConnection
    private let locks: Locks
    private let identity: Nonce
    private weak var registry: PresenceRegistry?
    private let timers: Timers<Timer>
    private var link: Link?
    private var channel: Channel?

    private var state = State.off
    private var isBlocked = false
    /// Names to listen for, and those that are bound on the broker.
    private var wanted: Set<LockName> = []
    private var bound: Set<LockName> = []
    /// Names whose binding may have to change, the oldest first.
    private var changes: ArraySlice<LockName> = []
    /// Binds and unbinds that are not answered yet, the oldest first; nil is the binding for questions to all.
    private var unanswered: ArraySlice<LockName?> = []
    private var failures = FailureCount()
    static let pause = GrowingDelay(.seconds(1) ... .seconds(30))
    private var questions = QuestionBudget()

    private enum Timer { case start }

    /// How many binds and unbinds may be under way: each is a transaction on the broker.
    private static let maximumUnanswered = 16
    private static let prefetch: UInt16 = 32

    init(_ connection: PublishConnection, _ locks: Locks, _ identity: Nonce) {
        self.connection = connection
        self.locks = locks
        self.identity = identity
        timers = Timers(locks.loop)
        connection.add(self)
    }

    /// From now on questions go to this registry.
    func listen(for registry: PresenceRegistry) { self.registry = registry }

    private var queue: String { ControlNames.controlQueue(identity) }
    private var user: String? { locks.settings.endpoint.provenUser }

    // MARK: Requests of the registry

    func listen(to names: [LockName]) {
        for name in names where wanted.insert(name).inserted { changes.append(name) }
        start()
        pump()
    }

    func ignore(_ names: [LockName]) {
        for name in names where wanted.remove(name) != nil { changes.append(name) }
        pump()
    }

    /// Dropped when there is no open channel at the moment.
    func answer(_ text: ControlText, to target: String) { publish(text, key: target) }

    func close() {
        timers.stopAll()
        (wanted, changes) = ([], [])
    }

    // MARK: The connection

    var wantsConnection: Bool { !wanted.isEmpty && state != .refused }

    func connected(_ link: Link) {
        self.link = link
        start()
        pump()
    }

    func disconnected() {
        (link, channel) = (nil, nil)
        if state == .listening { state = .off }
        isBlocked = false
        reset()
    }

    func blocked(_ isBlocked: Bool) {
        self.isBlocked = isBlocked
        start()
        pump()
    }

    private func reset() {
        (bound, unanswered) = ([], [])
        changes = Array(wanted)[...]
    }

    private func start() {
        guard state == .off, !isBlocked, !wanted.isEmpty, !timers.isRunning(.start) else { return }
        guard let link else { return connection.connect() }
        guard let channel = link.open(for: self) else { return startLater() }
        self.channel = channel
        state = .listening
        failures.cameUp(at: .now)
        reset()
        // The broker processes the frames of a channel in order and drops those behind one that fails, so there is
        // nothing to wait for.
        channel.declareControlExchange()
        channel.declare(queue, exclusive: true, autoDelete: true, ControlNames.queueArguments)
        channel.write { connection, channel throws(ConnectionFailure) in
            try connection.basicQos(channel, prefetch: Self.prefetch)
        }
        channel.consume(queue, tag: Self.tag)
        bind(ControlNames.listKey, of: nil)
    }

    private func startLater() {
        channel = nil
        guard state == .off else { return }
        failures.ended(at: .now, lasting: Self.pause.longest)
        timers.start(.start, after: Self.pause.delay(before: failures.count)) { [weak self] in
            self?.start()
            self?.pump()
        }
    }

    // MARK: Binding

    private func pump() {
        guard state == .listening, !isBlocked else { return }
        while unanswered.count < Self.maximumUnanswered, let name = changes.popFirst() {
            let (key, queue) = (ControlNames.key(name), queue)
            switch (wanted.contains(name), bound.contains(name)) {
            case (true, false):
                bound.insert(name)
                bind(key, of: name)
            case (false, true):
                bound.remove(name)
                unanswered.append(name)
                channel?.request(.bound) { connection, channel throws(ConnectionFailure) in
                    try connection.queueUnbind(channel, queue, exchange: ControlNames.exchange, routingKey: key)
                }
            case (true, true), (false, false): break
            }
        }
    }

    private func bind(_ key: String, of name: LockName?) {
        unanswered.append(name)
        channel?.request(.bound) { [queue] connection, channel throws(ConnectionFailure) in
            try connection.queueBind(channel, queue, exchange: ControlNames.exchange, routingKey: key)
        }
    }

    private func changed() {
        guard let name = unanswered.popFirst() else { return }
        // Tells observers about us. Nothing depends on it, so no confirm and no return.
        if let name, wanted.contains(name), bound.contains(name) {
            publish(ControlRequest.hello.text(identity.description), key: ControlNames.helloKey(name))
        }
        pump()
    }

    // MARK: Messages

    func received(_ inbound: Inbound, on channel: Channel) {
        switch inbound {
        case .queueBindOK, .queueUnbindOK: changed()
        case .delivery(_, let delivery): deliver(delivery)
        case .cancelledByBroker:
            // The queue was deleted. Close the channel, too, and start over.
            channel.close()
            state = .off
            reset()
            startLater()
        case .channelClosed(_, let code, let text, _, _): refused(code, text)
        default: break
        }
    }

    private func refused(_ code: UInt16, _ text: String) {
        reset()
        guard code == ChannelFault.accessRefused else {
            // For example, the exchange was deleted; it is declared again next time.
            state = .off
            return startLater()
        }
        (state, channel) = (.refused, nil)
        let (relay, owner) = (locks.relay, locks.settings.owner)
        locks.settings.inspection.warning {
            relay.send(
                LockEvent(
                    .warning, at: .now, owner: owner,
                    detail: """
                        others cannot see who holds this program's locks, nor ask it to yield: \(text); the user needs \
                        configure, write and read permission on \(ControlNames.exchange) and on queues that begin with \
                        mqlock.v1
                        """))
        }
    }

    private func deliver(_ delivery: Delivery) {
        channel?.acknowledge(delivery.deliveryTag)
        // A hello is for observers.
        guard let question = ControlQuestion(delivery), question.request != .hello,
            questions.admit(question.request, at: .now)
        else { return }
        registry?.asked(question)
    }

    private func publish(_ text: ControlText, key: String) {
        guard state == .listening, !isBlocked else { return }
        let properties = ControlNames.properties(user: user)
        channel?.write { connection, channel throws(ConnectionFailure) in
            try connection.basicPublish(
                channel, exchange: ControlNames.exchange, routingKey: key, properties: properties, body: text.payload)
        }
    }
}

extension Channel {
    func declareControlExchange() {
        request(.exchangeDeclared) { connection, channel throws(ConnectionFailure) in
            try connection.exchangeDeclare(channel, ControlNames.exchange, type: "direct", durable: true)
        }
    }
}

/// Limits the questions that a session answers, so a flood of them costs the sender more than us.
struct QuestionBudget {
    private var left = Self.burst
    private var refilledAt: ContinuousClock.Instant?
    private static let burst = 200.0
    private static let perSecond = 100.0

    /// A question for the whole list counts as several, according to the size of its answer.
    private static let listCost = 32.0

    mutating func admit(_ request: ControlRequest, at now: ContinuousClock.Instant) -> Bool {
        let cost = if case .list = request { Self.listCost } else { 1.0 }
        if let refilledAt { left = min(Self.burst, left + refilledAt.duration(to: now).seconds * Self.perSecond) }
        refilledAt = now
        guard left >= cost else { return false }
        left -= cost
        return true
    }
}

/// Something to report only once, over all sessions of a provider.
final class Once: Sendable {
    private let isDone = Locked(false)

    func callAsFunction(_ body: () -> Void) {
        let isFirst = isDone.withLock { isDone in
            defer { isDone = true }
            return !isDone
        }
        if isFirst { body() }
    }
}
