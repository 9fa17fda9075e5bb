import MQLock

/// Does once, on a queue of its own that goes with it, what locks do: declares, binds, consumes, publishes, receives. So it
/// needs every permission that they need, and both connections of the session.
final class AccessCheck: ChannelHandler {
    private let session: Session
    private let done: (LockError?) -> Void
    private let timers: Timers<Timer>
    private let queue = "\(ObjectNames.exchange).verify/\(Nonce())"
    private var channel: Channel?
    private var doing = "declaring the exchange \(ObjectNames.exchange)"
    private var isDone = false

    private enum Timer { case publish }
    private static let tag = "verify"

    /// - Parameter done: called once, with what is in the way; not when the session ends first.
    init(_ session: Session, on loop: EventLoop, done: @escaping (LockError?) -> Void) {
        self.session = session
        self.done = done
        timers = Timers(loop)
    }

    func begin() {
        guard let channel = session.link.open(for: self) else { return finish(refusal(.outOfChannels)) }
        self.channel = channel
        channel.declareExchange()
        channel.declare(queue, exclusive: true, QueueArguments.exclusive.pairs)
        channel.bind(queue)
        channel.consume(queue, tag: Self.tag, noAck: true)
    }

    /// What it waits for, as far as that is known.
    var obstacle: String? { session.publishing.obstacle }

    /// Nobody wants to know any more.
    func cancel() {
        isDone = true
        timers.stopAll()
        channel?.close()
        channel = nil
    }

    func received(_ inbound: Inbound, on channel: Channel) {
        guard !isDone else { return }
        switch inbound {
        // The answers come in the order of the requests.
        case .exchangeDeclareOK: doing = "declaring a queue"
        case .queueDeclareOK: doing = "binding a queue to the exchange \(ObjectNames.exchange)"
        case .queueBindOK: doing = "consuming from a queue"
        case .consumeOK: publish()
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
        doing = "publishing to the exchange \(ObjectNames.exchange)"
        session.publisher.publish(TokenMessage(number: 0, nonce: Nonce()), to: queue) { [weak self] outcome in
            guard let self, !isDone else { return }
            switch outcome {
            case .arrived: break
            case .refused(let fault): finish(refusal(fault))
            // The second connection is yet to come up, or somebody deletes what we have declared.
            case .unknown, .unroutable:
                timers.start(.publish, after: .milliseconds(250)) { [weak self] in self?.publish() }
            }
        }
    }

    private func finish(_ error: LockError?) {
        guard !isDone else { return }
        // The broker deletes it with the connection; until then it would count against the limits.
        channel?.delete(queue)
        cancel()
        done(error)
    }

    private func refusal(_ fault: ChannelFault) -> LockError {
        fault.refusal(of: doing, for: "locks", capacity: session.link.capacity)
    }
}
