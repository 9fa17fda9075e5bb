import MQLock

/// The connection of somebody who asks: with a queue for answers, and an open ear for contenders that begin to listen.
actor AskingConnection {
    enum Event: Sendable {
        /// With the number of the question.
        case answered(String, ControlAnswer)
        /// A contender of the observed name listens from now on.
        case hello
        /// Nobody at all listens for the name.
        case unheard
        case ended(LockError)
        /// The broker takes no questions at the moment, and says why; nil: it does again.
        case blocked(String?)
    }

    private let loop: EventLoop
    private let settings: SessionSettings
    private let identity = Nonce()
    private let events: AsyncStream<Event>.Continuation
    private var connection: AMQPConnection?
    private var opening: CheckedContinuation<LockError?, Never>?
    private var counting: CheckedContinuation<LockView.QueueView, Never>?
    private var beat: TimerID?
    private var deadline: TimerID?

    /// The latest; the broker closes the channel of who asks for a queue that is not there.
    private var countingChannel = AskingConnection.channel

    private static let channel: UInt16 = 1
    private static let tag = "reply"

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// - Parameter events: takes what is told until the end, which is `ended` unless it is `close`.
    init(_ settings: SessionSettings, events: AsyncStream<Event>.Continuation) throws(LockError) {
        do throws(ConnectionFailure) { loop = try EventLoop(name: "mqlock-asks") } catch { throw LockError(error) }
        self.settings = settings
        self.events = events
    }

    deinit { loop.stop() }

    private var replyQueue: String { ControlNames.replyQueue(identity) }

    // MARK: Life

    /// Connects and makes the queue for answers; one that observes hears also who begins to listen.
    func open(observing name: LockName? = nil) async throws(LockError) {
        do throws(ConnectionFailure) {
            let connection = try AMQPConnection.open(
                settings.endpoint, timeout: settings.connectTimeout,
                clientProperties: ["connection_name": "mqlock \(settings.owner.prefix(200)) asks \(identity)"])
            self.connection = connection
            loop.watch(
                connection.socketDescriptor, hasBuffered: { [unowned connection] in connection.hasBufferedInput }
            ) {
                [unowned self] in readable()
            }
        } catch {
            throw LockError(error)
        }
        let refused = await withCheckedContinuation { continuation in
            opening = continuation
            let queue = replyQueue
            deadline = loop.schedule(at: .now.advanced(by: settings.requestTimeout)) { [unowned self] in
                end(
                    LockError(
                        .unreachable, "the broker at \(settings.endpoint.address) accepts logins but does not answer"))
            }
            perform { connection throws(ConnectionFailure) in
                try connection.channelOpen(Self.channel)
                try connection.exchangeDeclare(Self.channel, ControlNames.exchange, type: "direct", durable: true)
                try connection.queueDeclare(
                    Self.channel, queue, exclusive: true, autoDelete: true, arguments: ControlNames.queueArguments)
                if let name {
                    try connection.queueBind(
                        Self.channel, queue, exchange: ControlNames.exchange, routingKey: ControlNames.helloKey(name))
                }
                try connection.basicConsume(Self.channel, queue, tag: Self.tag, noAck: true)
            }
            pulse()
        }
        if let refused { throw refused }
    }

    func close() {
        if let connection {
            unwatch()
            connection.close()
        }
        connection = nil
        settle(LockError(.cancelled, "the connection was closed"))
        loop.stop()
    }

    private func end(_ error: LockError) {
        guard let connection else { return }
        unwatch()
        connection.abort()
        self.connection = nil
        settle(error)
        events.yield(.ended(error))
    }

    private func unwatch() {
        for timer in [beat, deadline].compactMap(\.self) { loop.cancel(timer) }
        loop.unwatch()
    }

    private func settle(_ error: LockError?) {
        opening?.resume(returning: error)
        opening = nil
        if error != nil {
            counting?.resume(returning: .unknown)
            counting = nil
        }
    }

    // MARK: Asking

    /// Asks all contenders of a name. Answers carry the number that this returns.
    func ask(_ request: ControlRequest, of name: LockName) -> String {
        let question = Nonce().description
        var properties = ControlNames.properties(user: settings.endpoint.provenUser)
        properties.replyTo = replyQueue
        perform { connection throws(ConnectionFailure) in
            try connection.basicPublish(
                Self.channel, exchange: ControlNames.exchange, routingKey: ControlNames.key(name), mandatory: true,
                properties: properties, body: request.text(question).payload)
        }
        return question
    }

    /// What the broker itself says about the lock's queue.
    func queueView(of objects: ObjectNames) async -> LockView.QueueView {
        let view = await counts(of: objects.queue)
        guard view == .counted(messages: 0, consumers: 0) else { return view }
        // A lock that is one message has a register beside its queue, and the message is not in the queue. Any other
        // has an empty queue when it is new.
        return await counts(of: objects.register) == .missing ? view : .taken
    }

    private func counts(of queue: String) async -> LockView.QueueView {
        guard connection != nil, counting == nil else { return .unknown }
        countingChannel += 1
        let channel = countingChannel
        return await withCheckedContinuation { continuation in
            counting = continuation
            perform { connection throws(ConnectionFailure) in
                try connection.channelOpen(channel)
                try connection.queueDeclare(channel, queue, passive: true)
            }
            loop.schedule(at: .now.advanced(by: settings.requestTimeout)) { [weak self] in
                self?.assumeIsolated { $0.overdue(channel) }
            }
        }
    }

    private func overdue(_ channel: UInt16) { if channel == countingChannel { counted(.unknown) } }

    private func counted(_ view: LockView.QueueView) {
        counting?.resume(returning: view)
        counting = nil
    }

    private func perform(_ body: (AMQPConnection) throws(ConnectionFailure) -> Void) {
        guard let connection else { return }
        do throws(ConnectionFailure) { try body(connection) } catch { end(LockError(error)) }
    }

    // MARK: Receiving

    private func readable() {
        guard let connection else { return }
        do throws(ConnectionFailure) {
            try connection.readAvailable { inbound in handle(inbound) }
        } catch {
            end(LockError(error))
        }
    }

    private func handle(_ inbound: Inbound) {
        switch inbound {
        case .consumeOK:
            if let deadline { loop.cancel(deadline) }
            settle(nil)
        case .delivery(_, let delivery): deliver(delivery)
        case .returned: events.yield(.unheard)
        case .queueDeclareOK(let channel, _, let messages, let consumers) where channel != Self.channel:
            counted(.counted(messages: Int(messages), consumers: Int(consumers)))
        case .channelClosed(let channel, let code, _, _, _) where channel != Self.channel:
            switch code {
            case ChannelFault.notFound: counted(.missing)
            case ChannelFault.resourceLocked: counted(.exclusive)
            default: counted(.unknown)
            }
        case .channelClosed(_, let code, let text, _, _): refused(code, text)
        case .blocked(let reason): events.yield(.blocked(reason.escapedForDisplay))
        case .unblocked: events.yield(.blocked(nil))
        case .cancelledByBroker: end(LockError(.unreachable, "the queue for answers was deleted"))
        default: break
        }
    }

    private func refused(_ code: UInt16, _ text: String) {
        let text = text.escapedForDisplay
        guard code == ChannelFault.accessRefused else {
            return end(LockError(.unreachable, "the broker closed the channel: \(code) \(text)"))
        }
        end(
            LockError(
                .accessRefused,
                """
                the broker does not let us ask who holds a lock: \(text); the user needs configure, write and read \
                permission on \(ControlNames.exchange) and on queues that begin with mqlock.v1
                """))
    }

    private func deliver(_ delivery: Delivery) {
        guard !delivery.isOversize, let text = ControlText(payload: delivery.body) else { return }
        if delivery.exchange == ControlNames.exchange {
            if ControlRequest(text) == .hello { events.yield(.hello) }
        } else if let answer = ControlAnswer(text) {
            events.yield(.answered(text.question, answer))
        }
    }

    /// Services heartbeats.
    private func pulse() {
        readable()
        guard let connection else { return }
        beat = loop.schedule(at: .now.advanced(by: connection.serviceInterval)) { [unowned self] in pulse() }
    }
}
