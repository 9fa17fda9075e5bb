import MQLock
import Testing

@testable import MQLockRabbitMQ

/// The claim by itself: rules that no fault of the simulated broker makes the difference for, or too seldom.
@Suite struct ClaimTests {
    private static let fence = FencingToken("64")

    private func claim(_ events: [Claim.Event]) -> Claim {
        var claim = Claim()
        for event in events { _ = claim.handle(event) }
        return claim
    }

    private static func closed(_ code: UInt16, _ text: String = "") -> Claim.Event {
        .channelClosed(ChannelFault(code: code, text: text))
    }

    private static func first(_ wanted: Claim.Event = .acquire) -> [Claim.Event] {
        [wanted] + (fence.map { [.first($0)] } ?? [])
    }

    /// Ways into every state.
    private static let prefixes: [[Claim.Event]] = [
        [], [.acquire], first(), first(.tryAcquire), first() + [.declared], first() + [.declared, .watching],
        first() + [.cancel], first() + [.declared, .cancel], first() + [.declared, .watching, .release],
        first() + [closed(405)], first() + [closed(405), .exists], first() + [closed(405), closed(405)],
        first() + [.declared, .watching, .release, .acquire], first() + [.placeLost], first() + [.channelUnavailable],
    ]

    private static let events: [Claim.Event] =
        [.placeLost, .declared, .watching, .exists, .deleted, .cancelledByBroker, .channelUnavailable]
        + [ChannelFault.unanswered, 0, 403, 404, 405, 406, 541].map { closed($0) }
        + [closed(406, "invalid arg 'x' for queue"), .timer(.claim), .timer(.delete), .release]

    /// Whatever the broker can send, at any time; three in a row. Whoever wants the lock may stop to at any time.
    @Test func nothingThatTheBrokerSendsTraps() {
        var states: Set<String> = []
        for prefix in Self.prefixes {
            for one in Self.events {
                for two in Self.events {
                    for three in Self.events {
                        var claim = claim(prefix + [one, two, three])
                        states.insert("\(claim.state)")
                        #expect(claim.state != .held || claim.wanted == nil)
                        if claim.wanted != nil { _ = claim.handle(.cancel) }
                        #expect(claim.wanted == nil)
                    }
                }
            }
        }
        #expect(states.count == 8, "\(states)")
    }

    /// The two answers to one write may come apart.
    @Test func aClaimThatIsAbandonedBetweenItsAnswersIsDeleted() {
        var claim = claim(Self.first() + [.declared, .cancel])
        #expect(claim.handle(.watching) == [.delete])
        #expect(claim.handle(.deleted) == [.closeChannel, .leaveLine])
        #expect(claim.isQuiet)
    }

    @Test func aQueueThatMayNotBeConsumedIsDeleted() {
        let fault = ChannelFault(code: ChannelFault.accessRefused, text: "no")
        var waiter = claim(Self.first() + [.declared])
        let doing = "consuming from the lock's queue"
        #expect(waiter.handle(.channelClosed(fault)) == [.delete, .refuse(fault, doing: doing)])
        #expect(waiter.state == .deleting)
        var gone = claim(Self.first() + [.declared, .cancel])
        #expect(gone.handle(.channelClosed(fault)) == [.delete])
        var refused = claim(Self.first() + [.cancel])
        #expect(refused.handle(.channelClosed(fault)) == [.closeChannel, .leaveLine])
    }

    @Test func pausesGrowToTheirLastAndNoFurther() {
        var claim = claim(Self.first())
        var questions = 0
        for _ in 0..<100 {
            #expect(claim.state == .claiming)
            if claim.handle(Self.closed(405)) == [.ask] {
                questions += 1
                _ = claim.handle(Self.closed(405))
            }
            #expect(claim.state == .refused)
            #expect(Claim.pauses.indices.contains(max(0, min(claim.refusals, Claim.pauses.count) - 1)))
            _ = claim.handle(.timer(.claim))
        }
        #expect(claim.refusals == 100 && questions == 25)
        #expect(Claim.pauses == Claim.pauses.sorted())
    }
}
