import MQLock

/// The publish connection of a session: publishes with confirms, and connects when there is something to publish.
///
/// Kept apart from the lock connection, because a broker with a memory or disk alarm stops reading from connections
/// that publish.
actor Publisher {
    private let loop: EventLoop
    private let settings: SessionSettings
    private var connection: AMQPConnection?
    private var isClosed = false
    private var nextDeliveryTag: UInt64 = 0
    private var pending: [UInt64: Pending] = [:]
    private var beat: TimerID?
    private let isConnected = Locked(false)
    private let blocked = Locked<String?>(nil)
    private let unreachable = Locked<String?>(nil)
    /// Listens for those who ask who holds what; there from the first time that there is something to be seen.
    private var listener: ControlListener?

    private struct Pending {
        let messageID: String
        var returned = false
        let deadline: ContinuousClock.Instant
        let done: (Outcome) -> Void
    }

    /// What became of a message.
    enum Outcome: Sendable {
        case arrived
        /// It is not in the queue, or nobody knows: publish another.
        case unknown
        /// There is no such queue.
        case unroutable
        /// The broker will refuse the next one, too.
        case refused(code: UInt16, text: String)
    }

    private static let channel: UInt16 = 1

    nonisolated var unownedExecutor: UnownedSerialExecutor { loop.asUnownedSerialExecutor() }

    init(settings: SessionSettings) throws(ConnectionFailure) {
        loop = try EventLoop(name: "mqlock-publish")
        self.settings = settings
    }

    deinit { loop.stop() }

    /// Why publishes do not arrive at the moment, in the broker's words; nil when nothing is known to be wrong.
    nonisolated var obstacle: String? {
        if let alarm = blocked.withLock({ $0 }) {
            return "the broker accepts no messages (\(alarm)): free memory or disk space there"
        }
        return unreachable.withLock { $0 }.map { "a second connection, for publishing, does not come up: \($0)" }
    }

    /// Connects, should there be no connection, and waits for nothing; a failure is the next publish's to meet.
    nonisolated func prepare() {
        guard !isConnected.withLock({ $0 }) else { return }
        Task { await bringUp() }
    }

    private func bringUp() {
        if !isClosed { _ = connect() }
    }

    /// Publishes and waits for the broker's word.
    func publish(_ message: any LockMessage, to queue: String) async -> Outcome {
        guard !isClosed, connect() else { return .unknown }
        return await withCheckedContinuation { continuation in
            nextDeliveryTag += 1
            pending[nextDeliveryTag] = Pending(
                messageID: message.nonce.description, deadline: .now.advanced(by: settings.requestTimeout),
                done: { continuation.resume(returning: $0) })
            // The broker refuses another user's name here: what is delivered with it is authentic. With EXTERNAL the
            // user is the certificate's, whose name we do not know.
            let properties = message.properties(user: settings.endpoint.provenUser)
            perform { connection throws(ConnectionFailure) in
                try connection.basicPublish(
                    Self.channel, exchange: "", routingKey: queue, mandatory: true, properties: properties,
                    body: message.payload)
            }
        }
    }

    /// Has the control channel do what the session wants of it.
    func serve(_ link: ControlLink) {
        guard !isClosed else { return }
        let listener =
            self.listener
            ?? ControlListener(
                loop: loop, link: link, user: settings.endpoint.provenUser,
                connect: { [unowned self] in connect() ? connection : nil },
                disconnect: { [unowned self] in disconnect(.unknown) })
        self.listener = listener
        listener.serve()
    }

    /// Says what is still to be said to those who watch, and goodbye. Nothing is published after that.
    func finish() {
        guard !isClosed else { return }
        if connection != nil { listener?.serve() }
        end { $0.close() }
    }

    func close() {
        end { $0.abort() }
    }

    private func end(_ part: (AMQPConnection) -> Void) {
        isClosed = true
        listener?.close()
        disconnect(.unknown, part)
        loop.stop()
    }

    // MARK: The connection

    private func connect() -> Bool {
        guard connection == nil else { return true }
        do throws(ConnectionFailure) {
            let connection = try AMQPConnection.open(
                settings.endpoint, timeout: settings.connectTimeout,
                clientProperties: ["connection_name": "mqlock \(settings.owner) publishes"])
            self.connection = connection
            connection.beginBatch()
            nextDeliveryTag = 0
            loop.watch(
                connection.socketDescriptor, hasBuffered: { [unowned connection] in connection.hasBufferedInput }
            ) {
                [unowned self] in readable()
            }
            loop.afterTurn = { [unowned connection] in connection.flush() }
            perform { connection throws(ConnectionFailure) in
                try connection.channelOpen(Self.channel)
                try connection.confirmSelect(Self.channel)
            }
            pulse()
            unreachable.withLock { $0 = nil }
            isConnected.withLock { $0 = self.connection != nil }
        } catch {
            unreachable.withLock { $0 = error.message.escapedForDisplay }
        }
        return connection != nil
    }

    private func disconnect(_ outcome: Outcome, _ part: (AMQPConnection) -> Void = { $0.abort() }) {
        guard let connection else { return }
        self.connection = nil
        isConnected.withLock { $0 = false }
        if let beat { loop.cancel(beat) }
        loop.unwatch()
        loop.afterTurn = nil
        part(connection)
        blocked.withLock { $0 = nil }
        let lost = pending.values
        pending = [:]
        for publish in lost { publish.done(outcome) }
        listener?.disconnected()
    }

    private func perform(_ body: (AMQPConnection) throws(ConnectionFailure) -> Void) {
        guard let connection else { return }
        do throws(ConnectionFailure) { try body(connection) } catch { disconnect(.unknown) }
    }

    private func readable() {
        guard let connection else { return }
        do throws(ConnectionFailure) {
            try connection.readAvailable { inbound in handle(inbound) }
        } catch {
            disconnect(.unknown)
        }
    }

    private func handle(_ inbound: Inbound) {
        if inbound.channel == ControlListener.channel { listener?.received(inbound) } else { handlePublishing(inbound) }
    }

    private func handlePublishing(_ inbound: Inbound) {
        switch inbound {
        case .returned(_, let message):
            // Before the confirm, by the protocol's order.
            let found = pending.first { $0.value.messageID == message.properties.messageID }
            if let found { pending[found.key]?.returned = true }
        case .ack(_, let tag, let multiple): settle(tag, multiple) { $0.returned ? .unroutable : .arrived }
        case .nack(_, let tag, let multiple): settle(tag, multiple) { _ in .unknown }
        case .blocked(let reason):
            blocked.withLock { $0 = reason.escapedForDisplay }
            listener?.blocked(true)
        case .unblocked:
            blocked.withLock { $0 = nil }
            listener?.blocked(false)
        case .channelClosed(_, let code, let text, _, _): disconnect(.refused(code: code, text: text))
        case .connectionClosed: disconnect(.unknown)
        default: break
        }
    }

    private func settle(_ tag: UInt64, _ multiple: Bool, _ outcome: (Pending) -> Outcome) {
        let tags = multiple ? pending.keys.filter { $0 <= tag } : [tag]
        for tag in tags {
            guard let publish = pending.removeValue(forKey: tag) else { continue }
            publish.done(outcome(publish))
        }
    }

    /// Services heartbeats, and gives up on a broker that leaves a publish unanswered without having said why.
    private func pulse() {
        readable()
        guard let connection else { return }
        let now = ContinuousClock.now
        let isBlocked = blocked.withLock { $0 != nil }
        if !isBlocked, pending.values.contains(where: { $0.deadline <= now }) { return disconnect(.unknown) }
        beat = loop.schedule(at: now.advanced(by: connection.serviceInterval)) { [unowned self] in pulse() }
    }
}
