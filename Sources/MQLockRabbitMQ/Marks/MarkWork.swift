import MQLock

/// One request for the marks of a name over one session: looks at all of them, or adds one.
///
/// A **look** is the single active consumer of the queue: the broker delivers to nobody else until the channel is
/// closed, and then puts the deliveries back. With `basic.get` two looks at the same time would each see only a part,
/// and one contender might do the job again.
final class MarkWork: ChannelHandler {
    private let session: Session
    private let request: MarkRequest
    private let name: LockName
    private let queue: String
    private let done: (Result<[DoneMark], LockError>) -> Void
    private let timers: Timers<Timer>
    private var channel: Channel?
    private var look = MarkLook()
    private var seen: [DoneMark] = []
    /// Unanswered requests, the oldest first: the broker answers in the order of the requests.
    private var doing: ArraySlice<String> = []
    /// Counts the attempts: the outcome of an earlier attempt is ignored.
    private var attempt = 0
    private var isDone = false

    private enum Timer { case retry }
    private static let pause = Duration.milliseconds(100)
    /// How long the contenders ahead of us may take. Longer than the broker needs to notice that one of them is gone.
    private static let turn = Duration.seconds(60)

    /// - Parameter done: called once, on the loop; not when the session ends first.
    init(
        _ request: MarkRequest, of name: LockName, _ queue: String, over session: Session, on loop: EventLoop,
        done: @escaping (Result<[DoneMark], LockError>) -> Void
    ) {
        (self.request, self.name, self.queue, self.session, self.done) = (request, name, queue, session, done)
        timers = Timers(loop)
    }

    /// What the request waits for, as far as that is known.
    var obstacle: String? { session.publishing.obstacle }

    func begin() {
        attempt += 1
        look = MarkLook()
        // Without a prefetch: otherwise the marks behind the first would not come.
        guard let channel = session.link.openBare(for: self) else { return finish(refusal(.outOfChannels)) }
        self.channel = channel
        guard request.isCreating else {
            doing = ["looking for the queue of its marks"]
            return channel.declare(queue, passive: true)
        }
        doing = [
            "declaring the exchange \(ObjectNames.exchange)", "declaring the queue of its marks", "binding that queue",
        ]
        channel.declareExchange()
        channel.declare(queue, durable: true, QueueArguments.done(session.behavior).pairs)
        channel.bind(queue)
    }

    /// Nobody needs the answer any longer.
    func cancel() {
        isDone = true
        timers.stopAll()
        channel?.close()
        channel = nil
    }

    func received(_ inbound: Inbound, on channel: Channel) {
        guard !isDone, channel === self.channel else { return }
        switch inbound {
        case .exchangeDeclareOK, .queueDeclareOK, .queueBindOK:
            _ = doing.popFirst()
            if doing.isEmpty { publish() }
        case .delivery(_, let delivery):
            switch look.received(delivery) {
            case .more: break
            case .seen: looked()
            case .late: publishAll(look.copies())
            case .copied: copied()
            }
        case .channelClosed(_, let code, let text, _, _):
            self.channel = nil
            if code == ChannelFault.notFound, !request.isCreating { return finish(.success([])) }
            let fault = ChannelFault(code: code, text: text)
            // Something on the broker is changing: a queue is being deleted, or has no leader yet. Or we were stopped
            // for longer than the broker lets us look.
            guard [ChannelFault.notFound, ChannelFault.unanswered].contains(code) || fault.isOverdue else {
                return finish(refusal(fault))
            }
            beginLater()
        case .cancelledByBroker: beginLater()
        default: break
        }
    }

    /// Everything has arrived. Nobody else looks until our channel is closed.
    private func looked() {
        // The result as of now: what comes later is only put back, or copied.
        seen = look.marks
        guard look.isWorn else { return answer() }
        publishAll(look.copies())
    }

    /// All copies of the marks are behind everything that was there before.
    private func copied() {
        publishAll(look.copiesOfLooks) { [weak self] in
            guard let self else { return }
            for tag in look.originals { channel?.acknowledge(tag) }
            answer()
        }
    }

    /// If one of them has not arrived, everything stays as it is, and another contender tries.
    private func publishAll(_ messages: [some LockMessage], then: @escaping () -> Void = {}) {
        var left = messages.count
        guard left > 0 else { return then() }
        for message in messages {
            session.publisher.publish(message, to: queue) { [weak self, attempt] outcome in
                guard let self, !isDone, self.attempt == attempt else { return }
                guard case .arrived = outcome else { return answer() }
                left -= 1
                if left == 0 { then() }
            }
        }
    }

    private func answer() {
        for tag in look.superfluous { channel?.acknowledge(tag) }
        finish(.success(seen))
    }

    private func publish() {
        doing = ["publishing to the exchange \(ObjectNames.exchange)"]
        let settle: (Publisher.Outcome) -> Void = { [weak self, attempt] outcome in
            guard let self, !isDone, self.attempt == attempt else { return }
            published(outcome)
        }
        switch request {
        case .read: session.publisher.publish(look.own, to: queue, settle)
        case .write(let mark): session.publisher.publish(MarkMessage(mark), to: queue, settle)
        }
    }

    private func published(_ outcome: Publisher.Outcome) {
        switch outcome {
        case .arrived:
            guard request.isRead else { return finish(.success([])) }
            // Not earlier: a consume on a queue that does not serve yet would end the connection (3.10.8).
            doing = ["consuming from the queue of its marks"]
            channel?.consume(queue, tag: queue)
            timers.start(.retry, after: Self.turn) { [weak self] in self?.beginLater() }
        case .refused(let fault): finish(refusal(fault))
        // The second connection is not up yet, or what we have declared is being deleted.
        case .unknown, .unroutable: beginLater()
        }
    }

    /// Again from the beginning.
    private func beginLater() {
        channel?.close()
        channel = nil
        // Results of this attempt no longer count.
        attempt += 1
        timers.start(.retry, after: Self.pause) { [weak self] in self?.begin() }
    }

    private func finish(_ result: Result<[DoneMark], LockError>) {
        guard !isDone else { return }
        cancel()
        done(result)
    }

    private func refusal(_ fault: ChannelFault) -> Result<[DoneMark], LockError> {
        if fault.isOfOtherMajorVersion { return .failure(otherMajorVersion(fault)) }
        return .failure(
            fault.refusal(of: doing.first ?? "a request", for: "the marks of \(name)", capacity: session.link.capacity))
    }

    private func otherMajorVersion(_ fault: ChannelFault) -> LockError {
        let deletion = LockObjects.deletion(of: [queue], vhost: session.vhost)
        return LockError(
            .incompatible,
            """
            the marks of \(name): \(fault.otherKind(than: .singleActiveConsumer)) (\(fault.text.escapedForDisplay)); to \
            migrate, delete it with `\(deletion)`: what has been done in the period of now is then done once more
            """)
    }
}
