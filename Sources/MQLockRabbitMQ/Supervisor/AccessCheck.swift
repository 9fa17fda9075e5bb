import MQLock

/// Does once what locks do, on temporary queues of its own: declares, binds, consumes, publishes, receives. The queues
/// have the names of a lock that nobody else uses. So it needs exactly the permissions that locks of this mutex need,
/// and both connections of the session.
final class AccessCheck: ChannelHandler {
    /// A queue of a lock, and what is done with it.
    private struct Queue {
        let name: String
        var isBound = true
        var isConsumed = true
    }

    private let session: Session
    private let queues: [Queue]
    private let done: (LockError?) -> Void
    private let timers: Timers<Timer>
    private var channel: Channel?
    /// Unanswered requests, the oldest first: the broker answers in the order of the requests.
    private var doing: ArraySlice<String> = []
    private var isDone = false

    private enum Timer { case publish }

    /// - Parameter done: called once, with the problem found; not called when the session ends first.
    init(
        _ session: Session, _ settings: SessionSettings, on loop: EventLoop, done: @escaping (LockError?) -> Void
    ) throws(LockError) {
        self.session = session
        self.done = done
        timers = Timers(loop)
        let names = try ObjectNames(LockName("mqlock-verify/\(Nonce())"), vhost: settings.endpoint.vhost)
        queues =
            switch settings.mutex {
            case .token:
                [
                    Queue(name: names.queue), Queue(name: names.register),
                    Queue(name: names.mend, isBound: false, isConsumed: false),
                ]
            case .exclusiveQueue: [Queue(name: names.line), Queue(name: names.queue, isBound: false)]
            default: [Queue(name: names.queue)]
            }
    }

    func begin() {
        guard let channel = session.link.open(for: self) else { return finish(refusal(.outOfChannels)) }
        self.channel = channel
        doing.append("declaring the exchange \(ObjectNames.exchange)")
        channel.declareExchange()
        for queue in queues {
            doing.append("declaring a queue")
            channel.declare(queue.name, exclusive: true, QueueArguments.exclusive.pairs)
            if queue.isBound {
                doing.append("binding a queue to the exchange \(ObjectNames.exchange)")
                channel.bind(queue.name)
            }
            if queue.isConsumed {
                doing.append("consuming from a queue")
                channel.consume(queue.name, tag: queue.name, noAck: true)
            }
        }
    }

    /// What the check waits for, as far as that is known.
    var obstacle: String? { session.publishing.obstacle }

    /// Nobody needs the answer any longer.
    func cancel() {
        isDone = true
        timers.stopAll()
        channel?.close()
        channel = nil
    }

    func received(_ inbound: Inbound, on channel: Channel) {
        guard !isDone else { return }
        switch inbound {
        case .exchangeDeclareOK, .queueDeclareOK, .queueBindOK, .consumeOK:
            _ = doing.popFirst()
            if doing.isEmpty { publish() }
        case .delivery: finish(nil)
        case .channelClosed(_, let code, let text, _, _):
            self.channel = nil
            finish(refusal(ChannelFault(code: code, text: text)))
        case .cancelledByBroker:
            finish(LockError(.unreachable, "the queue that was made for a check of the permissions was deleted"))
        default: break
        }
    }

    private func publish() {
        doing = ["publishing to the exchange \(ObjectNames.exchange)"]
        session.publisher.publish(TokenMessage(number: 0, nonce: Nonce()), to: queues[0].name) { [weak self] outcome in
            guard let self, !isDone else { return }
            switch outcome {
            case .arrived: break
            case .refused(let fault): finish(refusal(fault))
            // The second connection is not up yet, or what we have declared is being deleted.
            case .unknown, .unroutable:
                timers.start(.publish, after: .milliseconds(250)) { [weak self] in self?.publish() }
            }
        }
    }

    private func finish(_ error: LockError?) {
        guard !isDone else { return }
        // The broker would delete them at the end of the connection; until then they would count against its limits.
        for queue in queues { channel?.delete(queue.name) }
        cancel()
        done(error)
    }

    private func refusal(_ fault: ChannelFault) -> LockError {
        fault.refusal(of: doing.first ?? "a request", for: "locks", capacity: session.link.capacity)
    }
}
