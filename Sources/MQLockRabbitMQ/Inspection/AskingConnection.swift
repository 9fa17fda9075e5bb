import MQLock

/// The connection of an asker. It has a queue for answers, which also receives hello messages of contenders that start
/// to listen.
actor AskingConnection {
    enum Event: Sendable {
        /// With the number of the question.
        case answered(String, ControlAnswer)
        /// A contender for the observed name listens from now on.
        case hello
        /// Nobody listens for the name.
        case unheard
        case ended(LockError)
        /// The broker accepts no questions at the moment, with its reason; nil: it accepts them again.
        case blocked(String?)
    }

    private let loop: EventLoop
    private let settings: SessionSettings
    private let identity = Nonce()
    private let events: AsyncStream<Event>.Continuation
    private var link: Link?
    private var channel: Channel?
    private var opening: CheckedContinuation<LockError?, Never>?
    private var counting: CheckedContinuation<LockView.QueueView, Never>?

    private static let tag = "reply"

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    /// - Parameter events: receives events until the end; the last is `ended`, except after `close`.
    init(_ settings: SessionSettings, events: AsyncStream<Event>.Continuation) throws(LockError) {
        do throws(ConnectionFailure) { loop = try EventLoop(name: "mqlock-asks") } catch { throw LockError(error) }
        self.settings = settings
        self.events = events
    }

    deinit { loop.stop() }

    private var replyQueue: String { ControlNames.replyQueue(identity) }

    // MARK: Life

    /// Connects and declares the queue for answers. An observer's queue also receives hello messages.
    func open(observing name: LockName? = nil) async throws(LockError) {
        let refused = await withCheckedContinuation { continuation in
            opening = continuation
            let isBegun = loop.offload { [settings, identity] in
                Result { () throws(ConnectionFailure) in
                    try AMQPConnection.open(
                        settings.endpoint, timeout: settings.connectTimeout,
                        clientProperties: ["connection_name": "mqlock \(settings.owner.prefix(200)) asks \(identity)"])
                }
            } then: { result in
                self.opened(result, name)
            }
            if !isBegun { settle(LockError(ConnectionFailure.outOfThreads)) }
        }
        if let refused { throw refused }
    }

    private func opened(_ result: Result<AMQPConnection, ConnectionFailure>, _ name: LockName?) {
        let link: Link
        switch result {
        case .success(let connection): link = Link(connection, on: loop, requestTimeout: settings.requestTimeout)
        case .failure(let failure): return settle(LockError(failure))
        }
        self.link = link
        link.serve(for: self)
        channel = link.open(for: self)
        let queue = replyQueue
        let keys = [queue] + (name.map { [ControlNames.helloKey($0)] } ?? [])
        channel?.declareControlExchange()
        channel?.declare(queue, exclusive: true, autoDelete: true, ControlNames.queueArguments)
        for key in keys {
            channel?.request(.bound) { connection, channel throws(ConnectionFailure) in
                try connection.queueBind(channel, queue, exchange: ControlNames.exchange, routingKey: key)
            }
        }
        channel?.consume(queue, tag: Self.tag, noAck: true)
    }

    func close() {
        link?.close()
        (link, channel) = (nil, nil)
        settle(LockError(.cancelled, "the connection was closed"))
        loop.stop()
    }

    private func end(_ error: LockError) {
        guard let link else { return }
        link.close()
        (self.link, channel) = (nil, nil)
        settle(error)
        events.yield(.ended(error))
    }

    private func settle(_ error: LockError?) {
        opening?.resume(returning: error)
        opening = nil
        if error != nil { counted(.unknown) }
    }

    // MARK: Asking

    /// Asks all contenders for a name. Answers carry the number that this returns.
    func ask(_ request: ControlRequest, of name: LockName) -> String { ask(request, key: ControlNames.key(name)) }

    /// Asks the sessions that listen with this key.
    func ask(_ request: ControlRequest, key: String) -> String {
        let question = Nonce().description
        var properties = ControlNames.properties(user: settings.endpoint.provenUser)
        properties.replyTo = replyQueue
        channel?.write { [properties] connection, channel throws(ConnectionFailure) in
            try connection.basicPublish(
                channel, exchange: ControlNames.exchange, routingKey: key, mandatory: true,
                properties: properties, body: request.text(question).payload)
        }
        return question
    }

    /// What the broker itself reports about the lock's queue.
    func queueView(of objects: ObjectNames) async -> LockView.QueueView {
        let view = await counts(of: objects.queue)
        guard view == .counted(messages: 0, consumers: 0) else { return view }
        // A `token` lock has a register beside its queue; while it is held, its message is not in the queue. Any other
        // lock has an empty queue when it is new.
        return await counts(of: objects.register) == .missing ? view : .taken
    }

    private func counts(of queue: String) async -> LockView.QueueView {
        // A new channel each time: the broker closes the channel if the queue does not exist.
        guard let channel = link?.open(for: self), counting == nil else { return .unknown }
        return await withCheckedContinuation { continuation in
            counting = continuation
            channel.declare(queue, passive: true)
        }
    }

    private func counted(_ view: LockView.QueueView) {
        counting?.resume(returning: view)
        counting = nil
    }

    // MARK: Receiving

    private func handle(_ inbound: Inbound, isMain: Bool) {
        switch inbound {
        case .consumeOK: settle(nil)
        case .delivery(_, let delivery): deliver(delivery)
        case .returned: events.yield(.unheard)
        case .queueDeclareOK(_, _, let messages, let consumers) where !isMain:
            counted(.counted(messages: Int(messages), consumers: Int(consumers)))
        case .channelClosed(_, let code, _, _, _) where !isMain:
            switch code {
            case ChannelFault.notFound: counted(.missing)
            case ChannelFault.resourceLocked: counted(.exclusive)
            default: counted(.unknown)
            }
        case .channelClosed(_, let code, let text, _, _): refused(code, text)
        case .cancelledByBroker: end(LockError(.unreachable, "the queue for answers was deleted"))
        default: break
        }
    }

    private func refused(_ code: UInt16, _ text: String) {
        let text = text.escapedForDisplay
        switch code {
        case ChannelFault.accessRefused:
            end(
                LockError(
                    .accessRefused,
                    """
                    the broker does not let us ask who holds a lock: \(text); the user needs configure, write and read \
                    permission on \(ControlNames.exchange) and on queues that begin with mqlock.v1
                    """))
        case ChannelFault.unanswered:
            end(
                LockError(
                    .unreachable, "the broker at \(settings.endpoint.address) accepts logins but does not answer"))
        default: end(LockError(.unreachable, "the broker closed the channel: \(code) \(text)"))
        }
    }

    /// Only what came through the exchange counts: the broker decides who may publish there.
    private func deliver(_ delivery: Delivery) {
        guard !delivery.isOversize, delivery.exchange == ControlNames.exchange,
            let text = ControlText(payload: delivery.body)
        else { return }
        if delivery.routingKey == replyQueue {
            if let answer = ControlAnswer(text) {
                events.yield(.answered(text.question, answer.said(by: delivery.properties.userID)))
            }
        } else if ControlRequest(text) == .hello {
            events.yield(.hello)
        }
    }
}

extension AskingConnection: LinkOwner, ChannelHandler {
    nonisolated func received(_ inbound: Inbound, on channel: Channel) {
        let number = channel.number
        assumeIsolated { $0.handle(inbound, isMain: number == $0.channel?.number) }
    }

    nonisolated func linkEnded(_ failure: ConnectionFailure) {
        assumeIsolated { $0.end(LockError(failure)) }
    }

    nonisolated func linkBlocked(_ reason: String?) {
        assumeIsolated { $0.sayBlocked(reason) }
    }

    private func sayBlocked(_ reason: String?) { events.yield(.blocked(reason?.escapedForDisplay)) }
}
