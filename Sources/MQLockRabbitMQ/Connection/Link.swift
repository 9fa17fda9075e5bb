import MQLock

/// A channel of a link. When the channel or the link has ended, every write is silently dropped: the owner has been
/// notified, or is about to be.
final class Channel {
    let number: UInt16
    private weak var link: Link?
    /// Nil while the channel is unused.
    fileprivate(set) var handler: (any ChannelHandler)?
    fileprivate(set) var isOpen = true
    /// Open requests on this channel, the oldest first.
    fileprivate var unanswered: ArraySlice<(answer: Answer, sent: ContinuousClock.Instant)> = []
    /// Of each consumer; nil for as much as there is.
    private let prefetch: UInt16?
    /// Whether the channel as a whole has a prefetch.
    private var isLimited = false

    fileprivate init(_ number: UInt16, of link: Link, for handler: (any ChannelHandler)?, prefetch: UInt16? = nil) {
        self.number = number
        self.link = link
        self.handler = handler
        self.prefetch = prefetch
    }

    /// Since when a request has been open here.
    var owedSince: ContinuousClock.Instant? { unanswered.first?.sent }

    /// The kind of answer to a request.
    enum Answer: Equatable {
        case exchangeDeclared, queueDeclared, queueDeleted, bound, consuming, got
    }

    /// Closes the channel: the broker removes its consumers and returns its deliveries, in one step of each queue.
    func close() { link?.close(self) }

    /// Writes something that has no answer.
    func write(_ body: @escaping (AMQPConnection, UInt16) throws(ConnectionFailure) -> Void) {
        guard isOpen else { return }
        link?.write { [number] connection throws(ConnectionFailure) in try body(connection, number) }
    }

    /// Writes a request that the broker has to answer in time. If it does not, the channel is closed.
    func request(_ answer: Answer, _ body: @escaping (AMQPConnection, UInt16) throws(ConnectionFailure) -> Void) {
        guard isOpen else { return }
        unanswered.append((answer, .now))
        write(body)
    }

    func acknowledge(_ delivery: UInt64) {
        write { connection, channel throws(ConnectionFailure) in
            try connection.basicAck(channel, deliveryTag: delivery)
        }
    }

    /// Back into the queue.
    func putBack(_ delivery: UInt64) {
        write { connection, channel throws(ConnectionFailure) in
            try connection.basicNack(channel, deliveryTag: delivery, requeue: true)
        }
    }

    func declare(
        _ queue: String, durable: Bool = false, exclusive: Bool = false, autoDelete: Bool = false,
        passive: Bool = false, _ arguments: [String: FieldValue] = [:]
    ) {
        request(.queueDeclared) { connection, channel throws(ConnectionFailure) in
            try connection.queueDeclare(
                channel, queue, passive: passive, durable: durable, exclusive: exclusive, autoDelete: autoDelete,
                arguments: arguments)
        }
    }

    func delete(_ queue: String) {
        request(.queueDeleted) { connection, channel throws(ConnectionFailure) in
            try connection.queueDelete(channel, queue)
        }
    }

    func consume(_ queue: String, tag: String, noAck: Bool = false) {
        request(.consuming) { connection, channel throws(ConnectionFailure) in
            try connection.basicConsume(channel, queue, tag: tag, noAck: noAck)
        }
    }

    /// Consumes from a quorum queue in such a way that the broker cancels the consumer when the queue is deleted, even if
    /// the queue is declared again at once.
    ///
    /// A broker that would move the consumer to the new queue, without a word, does not do so on a channel that has a
    /// prefetch of its own: it refuses every consumer of a quorum queue there, and so has to cancel ours. For the same
    /// reason the prefetch is set after the consumer, and removed before the next one. Quorum queues do not heed it.
    func consumeUntilDeleted(_ queue: String, tag: String, noAck: Bool = false, _ behavior: BrokerBehavior) {
        if isLimited {
            write { [prefetch] connection, channel throws(ConnectionFailure) in
                try connection.basicQos(channel, prefetch: prefetch ?? 0)
            }
        }
        consume(queue, tag: tag, noAck: noAck)
        guard behavior.movesConsumers else { return }
        isLimited = true
        write { connection, channel throws(ConnectionFailure) in
            try connection.basicQos(channel, prefetch: .max, isGlobal: true)
        }
    }
}

/// One connection with its channels, their requests and deadlines, served by a loop: reads, writes, heartbeats.
///
/// Every connection of ours is a link. A failure in the middle of a turn is reported to the owner at the end of the
/// turn, so no code loses its state halfway.
///
/// **Writing** never holds the loop: while the socket's buffer is full, writes wait in a backlog. If the broker reads
/// nothing for `AMQPConnection.writeTimeout` without having announced it, the connection counts as lost.
///
/// **Rule 8**: we do not guess what became of an unanswered request. Closing its channel settles it, because the broker
/// undoes what a channel did when it closes, whenever that is. Other channels continue. (RabbitMQ 3.10.8 leaves
/// requests to a quorum queue unanswered whose node was killed right after its declaration.)
final class Link: LoopClient {
    private let connection: AMQPConnection
    private let loop: EventLoop
    private let requestTimeout: Duration
    private let timers: Timers<Timer>
    private weak var owner: (any LinkOwner)?
    /// Why the connection has ended; the owner has been notified when `isOver`.
    private var failure: ConnectionFailure?
    private var isOver = false

    private var channels: [UInt16: Channel] = [:]
    /// The channels that the broker has confirmed as open.
    private var confirmed: Set<UInt16> = []
    /// A limit of the broker on channels other than its channel_max, if known.
    private let channelLimit: Int?
    /// Closed by us, but not yet confirmed by the broker: until then the numbers are not free.
    private var closing: Set<UInt16> = []
    /// Closed because of an unanswered request; the close is not answered either.
    private var hanging: Set<UInt16> = []
    private var free: [UInt16] = []
    private var nextNumber = 1
    /// Channels are opened ahead with this prefetch, so one is available at once; nil: they are not opened ahead.
    private let prefetch: UInt16?
    private var spare: [Channel] = []

    private var backlog: ArraySlice<(AMQPConnection) throws(ConnectionFailure) -> Void> = []
    /// Since when the broker has read nothing of the backlog.
    private var stuckSince: ContinuousClock.Instant?
    private var isBlocked = false

    private enum Timer { case service }
    private static let maximumHanging = 64
    private static let maximumBacklog = 100_000
    /// When this few spare channels are left and the loop is idle, this many are opened.
    private static let (fewSpare, enoughSpare) = (4, 8)

    init(
        _ connection: AMQPConnection, on loop: EventLoop, requestTimeout: Duration, prefetch: UInt16? = nil,
        channelLimit: Int? = nil
    ) {
        self.connection = connection
        self.loop = loop
        self.requestTimeout = requestTimeout
        self.prefetch = prefetch
        self.channelLimit = channelLimit
        timers = Timers(loop)
    }

    /// Starts to serve the connection for `owner`, which keeps the link.
    func serve(for owner: any LinkOwner) {
        self.owner = owner
        connection.moveToThisThread()
        connection.beginBatch()
        loop.watch(self)
        service()
    }

    /// T, as negotiated.
    var heartbeat: Duration { connection.heartbeat }
    var brokerVersion: String? { connection.server.version }
    /// How many channels can be open at once.
    var capacity: Int { min(Int(connection.channelMax), channelLimit ?? .max) }
    /// How many channels contenders leave to what is done for a moment: to finish a grant, to look at marks, to verify,
    /// to repair.
    var reserve: Int { min(16, capacity / 8) }
    /// How many channels the broker has opened, even after the connection has ended.
    var openedByBroker: Int { confirmed.count }

    // MARK: Ending

    /// Fails the connection; the owner is notified at the end of the turn.
    func fail(_ failure: ConnectionFailure) {
        if self.failure == nil { self.failure = failure }
    }

    /// Closes the connection cleanly. Neither the owner nor any channel is notified.
    func close() {
        guard !isOver else { return }
        drainBacklog()
        end()
        connection.close()
    }

    /// Sends what has been written, and drops the connection without waiting for anything.
    func drop() {
        guard !isOver else { return }
        drainBacklog()
        connection.flush()
        end()
        connection.abort()
    }

    private func end() {
        isOver = true
        timers.stopAll()
        loop.unwatch(self)
        for channel in channels.values { channel.end() }
        channels = [:]
        spare = []
        backlog = []
    }

    func endTurn() {
        if failure == nil {
            openAhead()
            connection.flush()
        }
        guard let failure, !isOver else { return }
        end()
        connection.abort()
        owner?.linkEnded(failure)
    }

    // MARK: Channels

    /// A new channel for this handler; nil when the broker allows no more on this connection. A failed link always
    /// returns one: nothing is written on it, and the owner is notified of the end in a moment.
    ///
    /// - Parameter reserve: how many channels have to be left for others.
    func open(for handler: any ChannelHandler, leaving reserve: Int = 0) -> Channel? {
        guard let channel = spare.popLast() else { return openNew(for: handler, prefetch: prefetch, leaving: reserve) }
        channel.handler = handler
        return channel
    }

    /// As `open`, without a prefetch and its answer.
    func openBare(for handler: any ChannelHandler) -> Channel? { openNew(for: handler, prefetch: nil) }

    /// Whether the broker still has to confirm closed channels; after that others can be opened.
    var isClosingChannels: Bool { !closing.isEmpty }

    private func openNew(
        for handler: (any ChannelHandler)?, prefetch: UInt16?, leaving reserve: Int = 0
    ) -> Channel? {
        guard failure == nil, !isOver else {
            let channel = Channel(0, of: self, for: handler)
            channel.end()
            return channel
        }
        guard let number = takeNumber(leaving: reserve) else { return nil }
        let channel = Channel(number, of: self, for: handler, prefetch: prefetch)
        channels[number] = channel
        // Nothing waits for the answers: the broker processes the frames of a channel in order.
        write { connection throws(ConnectionFailure) in
            try connection.channelOpen(number)
            if let prefetch { try connection.basicQos(number, prefetch: prefetch) }
        }
        return channel
    }

    private func takeNumber(leaving reserve: Int) -> UInt16? {
        guard free.count + capacity - nextNumber + 1 > reserve else { return nil }
        if let number = free.popLast() { return number }
        guard nextNumber <= capacity else { return nil }
        nextNumber += 1
        return UInt16(nextNumber - 1)
    }

    private func openAhead() {
        guard prefetch != nil, channelLimit == nil, spare.count < Self.fewSpare, channels.count < capacity / 2,
            backlog.isEmpty,
            channels.values.allSatisfy(\.unanswered.isEmpty)
        else { return }
        while spare.count < Self.enoughSpare, channels.count < capacity / 2,
            let channel = openNew(for: nil, prefetch: prefetch)
        {
            spare.insert(channel, at: 0)
        }
    }

    fileprivate func close(_ channel: Channel) {
        guard channels.removeValue(forKey: channel.number) != nil else { return }
        channel.end()
        closing.insert(channel.number)
        write { [number = channel.number] connection throws(ConnectionFailure) in
            try connection.channelClose(number)
        }
    }

    // MARK: Writing

    fileprivate func write(_ body: @escaping (AMQPConnection) throws(ConnectionFailure) -> Void) {
        guard failure == nil, !isOver else { return }
        guard backlog.isEmpty, connection.hasRoom else {
            if backlog.isEmpty { stuckSince = .now }
            backlog.append(body)
            if backlog.count > Self.maximumBacklog { fail(ConnectionFailure(.timedOut("the broker reads too slowly"))) }
            return
        }
        perform(body)
    }

    var wantsToWrite: Bool { !backlog.isEmpty }

    private func drainBacklog() {
        while failure == nil, !backlog.isEmpty, connection.hasRoom, let body = backlog.popFirst() {
            stuckSince = .now
            perform(body)
        }
        if backlog.isEmpty { stuckSince = nil }
    }

    private func perform(_ body: (AMQPConnection) throws(ConnectionFailure) -> Void) {
        do throws(ConnectionFailure) { try body(connection) } catch { fail(error) }
    }

    // MARK: Reading

    var socketDescriptor: Int32 { connection.socketDescriptor }
    var hasBufferedInput: Bool { failure == nil && connection.hasBufferedInput }

    func socketIsReady() {
        drainBacklog()
        guard failure == nil, !isOver else { return }
        do throws(ConnectionFailure) {
            try connection.readAvailable { inbound in
                if failure == nil, !isOver { received(inbound) }
            }
        } catch {
            fail(error)
        }
    }

    private func received(_ inbound: Inbound) {
        let number = inbound.channel
        switch inbound {
        case .connectionClosed(let code, let text): fail(ConnectionFailure(closedWith: code, text: text))
        case .blocked(let reason):
            isBlocked = true
            owner?.linkBlocked(reason)
        case .unblocked:
            isBlocked = false
            owner?.linkBlocked(nil)
        case .channelCloseOK:
            guard closing.remove(number) != nil else { return violation("an answer to nothing") }
            confirmed.remove(number)
            hanging.remove(number)
            free.append(number)
        case .channelClosed:
            guard let channel = channels.removeValue(forKey: number) else {
                // We have closed it, too: the two closes have crossed, and ours will be answered.
                if !closing.contains(number) { violation("the end of a channel that is not open") }
                return
            }
            free.append(number)
            confirmed.remove(number)
            spare.removeAll { $0 === channel }
            tellClosed(channel, inbound)
        case .other: violation("a method that no client has asked for")
        default:
            guard let channel = channels[number] else {
                // Otherwise it was under way when we closed the channel.
                if !closing.contains(number) { violation("something on a channel that is not open") }
                return
            }
            if let answer = inbound.answer {
                // Not always in the order of the requests: the queue itself confirms a consumer.
                guard let first = channel.unanswered.firstIndex(where: { $0.answer == answer }) else {
                    return violation("an answer to nothing")
                }
                channel.unanswered.remove(at: first)
            }
            if case .channelOpenOK = inbound { confirmed.insert(number) }
            channel.handler?.received(inbound, on: channel)
        }
    }

    private func violation(_ what: String) {
        fail(ConnectionFailure(.transport(status: 0, text: "the broker sent \(what)")))
    }

    private func tellClosed(_ channel: Channel, _ inbound: Inbound) {
        let handler = channel.handler
        channel.end()
        handler?.received(inbound, on: channel)
    }

    // MARK: Service

    /// Only calls that read send heartbeats and notice the broker's silence.
    private func service() {
        socketIsReady()
        settleOverdueRequests()
        if !isBlocked, let stuckSince, stuckSince.after(connection.writeTimeout) <= .now {
            fail(ConnectionFailure(.timedOut("the broker has read nothing for \(connection.writeTimeout)")))
        }
        timers.start(.service, after: connection.serviceInterval) { [weak self] in self?.service() }
    }

    private func settleOverdueRequests() {
        let limit = ContinuousClock.now.before(requestTimeout)
        for channel in channels.values {
            guard let oldest = channel.unanswered.first, oldest.sent <= limit else { continue }
            // If more and more channels hang on a broker, do not rely on the others.
            hanging.insert(channel.number)
            guard hanging.count <= Self.maximumHanging else {
                return fail(ConnectionFailure(.timedOut("the broker left requests on many channels unanswered")))
            }
            let handler = channel.handler
            close(channel)
            handler?.received(
                .channelClosed(
                    channel: channel.number, code: ChannelFault.unanswered,
                    text: "the broker did not answer within \(requestTimeout.readable)", classID: 0, methodID: 0),
                on: channel)
        }
    }
}

extension Channel {
    fileprivate func end() {
        isOpen = false
        handler = nil
        unanswered = []
    }
}
