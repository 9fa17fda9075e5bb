import MQLock

/// The control channel of a session, on the publish connection and its thread: listens for what is asked of the
/// session's contenders, and sends their answers.
///
/// Nothing of a lock depends on it. Whatever fails here is tried again later, or given up with one warning.
final class ControlListener: @unchecked Sendable {
    static let channel: UInt16 = 2
    private static let tag = "control"

    /// Each case says where it can go.
    enum State: Equatable {
        /// No connection, or no channel on it. To `listening`.
        case off
        /// The channel is open, as far as we know. To `off`, `refused`.
        case listening
        /// The broker does not let us: until the session's end.
        case refused
    }

    private let loop: EventLoop
    private let link: ControlLink
    private let user: String?
    private let connect: () -> AMQPConnection?
    private let disconnect: () -> Void
    private var connection: AMQPConnection?

    private var state = State.off
    private var isBlocked = false
    /// Names to listen for, and those that the broker has been told of.
    private var wanted: Set<LockName> = []
    private var bound: Set<LockName> = []
    /// Names whose binding may have to change, the oldest first.
    private var changes: ArraySlice<LockName> = []
    /// Binds and unbinds that are not answered yet, the oldest first.
    private var unanswered: [LockName] = []
    private var retry: TimerID?
    private var failures = 0
    private var questions = QuestionBudget()

    /// How many binds and unbinds may be under way: each is a transaction of the broker's.
    private static let maximumUnanswered = 16
    private static let prefetch: UInt16 = 32

    init(
        loop: EventLoop, link: ControlLink, user: String?,
        connect: @escaping () -> AMQPConnection?, disconnect: @escaping () -> Void
    ) {
        self.loop = loop
        self.link = link
        self.user = user
        self.connect = connect
        self.disconnect = disconnect
    }

    private var queue: String { ControlNames.controlQueue(link.session) }

    // MARK: What the session wants

    /// Does what the session has left in the mailbox.
    func serve() {
        for command in link.mailbox.take() {
            switch command {
            case .listen(let name): if wanted.insert(name).inserted { changes.append(name) }
            case .ignore(let name): if wanted.remove(name) != nil { changes.append(name) }
            case .answer(let text, let target): publish(text, exchange: "", key: target)
            }
        }
        start()
        pump()
    }

    // MARK: The connection

    func blocked(_ isBlocked: Bool) {
        self.isBlocked = isBlocked
        start()
        pump()
    }

    func disconnected() {
        connection = nil
        if state == .listening { state = .off }
        isBlocked = false
        reset()
        if !wanted.isEmpty { startLater() }
    }

    private func reset() {
        bound = []
        unanswered = []
        changes = Array(wanted)[...]
    }

    private func start() {
        guard state == .off, !isBlocked, !wanted.isEmpty, retry == nil else { return }
        guard let connection = connect() else { return startLater() }
        self.connection = connection
        state = .listening
        reset()
        let queue = queue
        // The broker takes the frames of a channel in order and drops those behind one that fails: nothing to wait for.
        write { connection throws(ConnectionFailure) in
            try connection.channelOpen(Self.channel)
            try connection.exchangeDeclare(Self.channel, ControlNames.exchange, type: "direct", durable: true)
            try connection.queueDeclare(
                Self.channel, queue, exclusive: true, autoDelete: true, arguments: ControlNames.queueArguments)
            try connection.basicQos(Self.channel, prefetch: Self.prefetch)
            try connection.basicConsume(Self.channel, queue, tag: Self.tag)
        }
    }

    private func startLater() {
        guard state == .off, retry == nil else { return }
        failures += 1
        let delay = min(Duration.seconds(1) * (1 << min(failures, 6) - 1), .seconds(30))
        retry = loop.schedule(at: .now.advanced(by: delay)) { [weak self] in self?.startAgain() }
    }

    private func startAgain() {
        retry = nil
        start()
        pump()
    }

    func close() {
        if let retry { loop.cancel(retry) }
        retry = nil
        wanted = []
        changes = []
    }

    // MARK: Binding

    private func pump() {
        guard state == .listening, !isBlocked else { return }
        while unanswered.count < Self.maximumUnanswered, let name = changes.popFirst() {
            let key = ControlNames.key(name)
            let queue = queue
            switch (wanted.contains(name), bound.contains(name)) {
            case (true, false):
                bound.insert(name)
                unanswered.append(name)
                write { connection throws(ConnectionFailure) in
                    try connection.queueBind(Self.channel, queue, exchange: ControlNames.exchange, routingKey: key)
                }
            case (false, true):
                bound.remove(name)
                unanswered.append(name)
                write { connection throws(ConnectionFailure) in
                    try connection.queueUnbind(Self.channel, queue, exchange: ControlNames.exchange, routingKey: key)
                }
            default: break
            }
        }
    }

    private func changed() {
        guard !unanswered.isEmpty else { return }
        let name = unanswered.removeFirst()
        failures = 0
        // Observers learn of us by it. Nobody else's business, so no confirm and no return.
        if wanted.contains(name), bound.contains(name) {
            publish(
                ControlRequest.hello.text(link.session.description), exchange: ControlNames.exchange,
                key: ControlNames.helloKey(name))
        }
        pump()
    }

    // MARK: Messages

    private func write(_ body: (AMQPConnection) throws(ConnectionFailure) -> Void) {
        guard let connection else { return }
        do throws(ConnectionFailure) { try body(connection) } catch { disconnect() }
    }

    func received(_ inbound: Inbound) {
        switch inbound {
        case .queueBindOK, .queueUnbindOK: changed()
        case .delivery(_, let delivery): deliver(delivery)
        case .cancelledByBroker:
            // Somebody has deleted the queue. The channel goes too, and all begins anew.
            write { connection throws(ConnectionFailure) in try connection.channelClose(Self.channel) }
            state = .off
            reset()
        case .channelCloseOK: startLater()
        case .channelClosed(_, let code, let text, _, _): refused(code, text)
        default: break
        }
    }

    private func refused(_ code: UInt16, _ text: String) {
        reset()
        guard code == ChannelFault.accessRefused else {
            // Deleted under our feet, say: made anew the next time.
            state = .off
            return startLater()
        }
        state = .refused
        link.warn(
            """
            others cannot see who holds this program's locks, nor ask it to yield: \(text); the user needs configure, \
            write and read permission on \(ControlNames.exchange) and on queues that begin with mqlock.v1
            """)
    }

    private func deliver(_ delivery: Delivery) {
        let now = ContinuousClock.now
        if let question = ControlQuestion(delivery) {
            // A hello is for observers.
            if question.request != .hello, questions.admit(at: now) { link.ask(question) }
        }
        write { connection throws(ConnectionFailure) in
            try connection.basicAck(Self.channel, deliveryTag: delivery.deliveryTag)
        }
    }

    private func publish(_ text: ControlText, exchange: String, key: String) {
        guard state == .listening, !isBlocked else { return }
        let properties = ControlNames.properties(user: user)
        write { connection throws(ConnectionFailure) in
            try connection.basicPublish(
                Self.channel, exchange: exchange, routingKey: key, properties: properties, body: text.payload)
        }
    }
}

/// How many questions a session answers: a flood of them costs the flooder more than us.
struct QuestionBudget {
    private var left = Self.burst
    private var refilledAt: ContinuousClock.Instant?
    private static let burst = 200.0
    private static let perSecond = 100.0

    mutating func admit(at now: ContinuousClock.Instant) -> Bool {
        if let refilledAt { left = min(Self.burst, left + refilledAt.duration(to: now).seconds * Self.perSecond) }
        refilledAt = now
        guard left >= 1 else { return false }
        left -= 1
        return true
    }
}
