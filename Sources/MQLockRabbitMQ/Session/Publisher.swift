import MQLock

/// Publishes through our exchange, with confirms, on a channel of the publish connection.
final class Publisher: PublishConnectionUser, ChannelHandler {
    /// The outcome of a publish.
    enum Outcome: Equatable, Sendable {
        case arrived
        /// It is not in the queue, or that is unknown: publish another.
        case unknown
        /// The exchange is gone, or the queue, or its binding.
        case unroutable
        /// The broker would refuse the next one, too.
        case refused(ChannelFault)
    }

    private struct Publish {
        let queue: String
        let body: [UInt8]
        let properties: MessageProperties
        let done: (Outcome) -> Void
        var isReturned = false
        var deadline = ContinuousClock.Instant.now
    }

    private let settings: SessionSettings
    private let connection: PublishConnection
    private var link: Link?
    private var channel: Channel?
    /// Not sent yet, the oldest first.
    private var waiting: ArraySlice<Publish> = []
    /// Sent and not confirmed, by delivery tag.
    private var sent: [UInt64: Publish] = [:]
    private var lastTag: UInt64 = 0
    private let timers: Timers<Timer>

    private enum Timer { case overdue }

    init(_ connection: PublishConnection, _ settings: SessionSettings, on loop: EventLoop) {
        self.connection = connection
        self.settings = settings
        timers = Timers(loop)
        connection.add(self)
    }

    /// - Parameter done: called once with the outcome, on the loop, possibly at once; not called when the session has
    ///   ended.
    func publish(_ message: some LockMessage, to queue: String, _ done: @escaping (Outcome) -> Void) {
        // Other contenders may be able to publish meanwhile, so nobody waits for the next connection attempt.
        guard !connection.isPausing else {
            connection.connect()
            return done(.unknown)
        }
        waiting.append(
            Publish(
                queue: queue, body: message.payload,
                // The broker refuses another user's name here, so a delivered user id is authentic. With EXTERNAL the
                // user comes from the certificate, and we do not know its name.
                properties: message.properties(user: settings.endpoint.provenUser), done: done))
        if link == nil { connection.connect() }
        send()
    }

    // MARK: The connection

    var wantsConnection: Bool { !waiting.isEmpty }

    func connected(_ link: Link) {
        self.link = link
        send()
    }

    func disconnected() {
        (link, channel) = (nil, nil)
        settleAll(.unknown)
    }

    func blocked(_ isBlocked: Bool) {
        // What was sent before an alarm may be confirmed only after the alarm.
        for tag in sent.keys { sent[tag]?.deadline = .now.after(settings.requestTimeout) }
        send()
    }

    private func settleAll(_ outcome: Outcome) {
        timers.stopAll()
        let lost = sent.sorted { $0.key < $1.key }.map(\.value) + waiting
        (sent, waiting, lastTag) = ([:], [], 0)
        for publish in lost { publish.done(outcome) }
    }

    // MARK: Publishing

    private func send() {
        // The broker would not read it, and what is still queued here can be dropped.
        guard !connection.isBlocked, !waiting.isEmpty, let link else { return }
        if channel == nil {
            channel = link.open(for: self)
            channel?.write { connection, channel throws(ConnectionFailure) in try connection.confirmSelect(channel) }
            lastTag = 0
        }
        guard let channel else { return settleAll(.refused(.outOfChannels)) }
        while var publish = waiting.popFirst() {
            lastTag += 1
            publish.deadline = .now.after(settings.requestTimeout)
            sent[lastTag] = publish
            channel.write { [publish] connection, channel throws(ConnectionFailure) in
                try connection.basicPublish(
                    channel, exchange: ObjectNames.exchange, routingKey: publish.queue, mandatory: true,
                    properties: publish.properties, body: publish.body)
            }
        }
        watchDeadlines()
    }

    func received(_ inbound: Inbound, on channel: Channel) {
        switch inbound {
        case .returned(_, let message):
            // By the protocol's order, this comes before the confirm.
            let found = sent.first { $0.value.properties.messageID == message.properties.messageID }
            if let found { sent[found.key]?.isReturned = true }
        case .ack(_, let tag, let multiple): settle(tag, multiple) { $0.isReturned ? .unroutable : .arrived }
        case .nack(_, let tag, let multiple): settle(tag, multiple) { _ in .unknown }
        case .channelClosed(_, let code, let text, _, _):
            self.channel = nil
            // If the exchange is missing, the broker closes the channel; another channel works for other exchanges.
            settleAll(code == ChannelFault.notFound ? .unroutable : .refused(.init(code: code, text: text)))
        default: break
        }
    }

    private func settle(_ tag: UInt64, _ multiple: Bool, _ outcome: (Publish) -> Outcome) {
        let tags = multiple ? sent.keys.filter { $0 <= tag }.sorted() : [tag]
        for tag in tags {
            if let publish = sent.removeValue(forKey: tag) { publish.done(outcome(publish)) }
        }
    }

    /// If the broker leaves a publish unanswered without a reason, the connection counts as lost.
    private func watchDeadlines() {
        guard !timers.isRunning(.overdue), !sent.isEmpty else { return }
        timers.start(.overdue, after: settings.requestTimeout) { [weak self] in
            guard let self else { return }
            let now = ContinuousClock.now
            if !connection.isBlocked, sent.values.contains(where: { $0.deadline <= now }) {
                link?.fail(ConnectionFailure(.timedOut("the broker did not confirm a message in time")))
            } else {
                watchDeadlines()
            }
        }
    }
}
