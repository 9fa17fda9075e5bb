import MQLock
import Testing

@testable import MQLockRabbitMQ

/// What the queue's confirms prove: the pure value alone, and with the machine that holds and renews.
@Suite struct QueueProofTests {
    private let start = ContinuousClock.now
    private let window = Duration.milliseconds(1800)
    private func at(_ milliseconds: Int) -> ContinuousClock.Instant { start.advanced(by: .milliseconds(milliseconds)) }

    @Test func onlyTheSendingInstantCounts() {
        var proof = QueueProof(window: window)
        let nonce = Nonce()
        proof.sending(nonce, at: at(0))
        #expect(!proof.isLate(nonce, at: at(1799)))
        #expect(proof.completed(nonce) == at(1800), "however late the confirm and the delivery came")
        #expect(proof.isLate(nonce, at: at(1800)), "a confirm from here on revives nothing")
    }

    @Test func onlyTheLatestPublishCounts() {
        var proof = QueueProof(window: window)
        let (first, second) = (Nonce(), Nonce())
        proof.sending(first, at: at(0))
        proof.sending(second, at: at(900))
        #expect(proof.completed(first) == nil)
        #expect(proof.isLate(first, at: at(1)))
        #expect(proof.completed(second) == at(2700))
        #expect(proof.completed(Nonce()) == nil)
    }

    /// A holder as its driver feeds it, with a clock that the test moves.
    private struct Holder {
        var machine = SACMachine()
        var proof: QueueProof
        var provenUntil: ContinuousClock.Instant?
        private var deliveries: UInt64 = 0
        private var latest: SACMessage?

        init(window: Duration) { proof = QueueProof(window: window) }

        /// Publishes what the machine wants, at that instant; returns the message.
        mutating func feed(_ event: SACMachine.Event, at now: ContinuousClock.Instant) -> SACMessage? {
            var published: SACMessage?
            for action in machine.handle(event) {
                switch action {
                case .publish(let number):
                    let message = SACMessage(isSeed: false, number: number + 32, nonce: Nonce())
                    proof.sending(message.nonce, at: now)
                    published = feed(.publishing(message), at: now) ?? message
                case .grant(_, _, let nonce), .renewed(let nonce): provenUntil = proof.completed(nonce)
                default: break
                }
            }
            return published
        }

        mutating func deliver(_ message: SACMessage, at now: ContinuousClock.Instant) -> SACMessage? {
            deliveries += 1
            return feed(.delivered(deliveries, redelivered: false, .token(message, isFarAhead: false)), at: now)
        }

        mutating func confirm(_ message: SACMessage, at now: ContinuousClock.Instant) {
            let isLate = proof.isLate(message.nonce, at: now)
            _ = feed(isLate ? .unconfirmed(message.nonce) : .confirmed(message.nonce), at: now)
        }
    }

    /// A holder that was granted with a token sent at 0.
    private func holder() throws -> Holder {
        var holder = Holder(window: window)
        _ = holder.feed(.acquire(1), at: at(0))
        _ = holder.feed(.consuming, at: at(0))
        let seed = SACMessage(isSeed: true, number: 1000, nonce: Nonce())
        let own = try Self.sent(holder.deliver(seed, at: at(0)))
        _ = holder.deliver(own, at: at(5))
        #expect(holder.provenUntil == nil, "not before the confirm")
        holder.confirm(own, at: at(300))
        #expect(holder.provenUntil == at(1800))
        return holder
    }

    @Test func renewalsExtendFromTheirSending() throws {
        var holder = try holder()
        for round in 1...5 {
            let sent = at(500 * round)
            let renewal = try Self.sent(holder.feed(.renewalDue, at: sent))
            holder.confirm(renewal, at: sent.advanced(by: .milliseconds(100)))
            #expect(
                holder.provenUntil == sent.advanced(by: window - .milliseconds(500)), "confirmed, not delivered yet")
            _ = holder.deliver(renewal, at: sent.advanced(by: .milliseconds(200)))
            #expect(holder.provenUntil == sent.advanced(by: window))
        }
    }

    @Test func aLateConfirmRevivesNothing() throws {
        var holder = try holder()
        let renewal = try Self.sent(holder.feed(.renewalDue, at: at(500)))
        _ = holder.deliver(renewal, at: at(600))
        holder.confirm(renewal, at: at(2300))
        #expect(holder.provenUntil == at(1800), "2300 is past 500 + 1800")
        guard case .held(let hold) = holder.machine.state else { throw Missing() }
        #expect(hold.renewal == nil, "it was given up on")
    }

    @Test func aRenewalThatFailsExtendsNothing() throws {
        var holder = try holder()
        let renewal = try Self.sent(holder.feed(.renewalDue, at: at(500)))
        _ = holder.feed(.unconfirmed(renewal.nonce), at: at(700))
        _ = holder.deliver(renewal, at: at(800))
        #expect(holder.provenUntil == at(1800))
        // The next one counts, from its own sending.
        let next = try Self.sent(holder.feed(.renewalDue, at: at(1000)))
        _ = holder.feed(.confirmed(renewal.nonce), at: at(1010))
        #expect(holder.provenUntil == at(1800))
        holder.confirm(next, at: at(1100))
        _ = holder.deliver(next, at: at(1100))
        #expect(holder.provenUntil == at(2800))
    }

    private struct Missing: Error {}

    /// What was published; `#require` takes no mutating call.
    private static func sent(_ message: SACMessage?) throws -> SACMessage {
        guard let message else { throw Missing() }
        return message
    }
}
