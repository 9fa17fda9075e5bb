import MQLock
import Testing

@testable import MQLockRabbitMQ

/// The steps of a first contact and of mending, one by one, and the token's machine by itself.
@Suite struct PreparationTests {
    private static let nonce = Nonce()

    private enum Answer { case yes, no(UInt16) }

    /// Begins, gives the answers, and tells the last that it said.
    private func follow(heals: Bool = false, _ answers: Answer...) -> (preparation: Preparation, next: Preparation.Next)
    {
        var preparation = Preparation()
        var next = heals ? preparation.heal(Self.nonce) : preparation.begin()
        for answer in answers {
            switch answer {
            case .yes: next = next == .seed ? preparation.seeded(Self.nonce) : preparation.advance()
            case .no(let code):
                let text = code == 406 ? "inequivalent arg 'x-dead-letter-routing-key': but current is 'x'" : ""
                next = preparation.retreat(ChannelFault(code: code, text: text))
            }
        }
        return (preparation, next)
    }

    @Test func whatIsThereIsMatched() {
        #expect(follow().next == .request(.findRegister))
        #expect(follow(.yes).next == .request(.findQueue))
        #expect(follow(.yes, .yes).next == .request(.declareQueue))
        #expect(follow(.yes, .yes, .yes).next == .ready)
        #expect(follow(.yes, .yes, .no(404)).next == .pause)
    }

    @Test func whatIsNewIsSeeded() {
        #expect(follow(.no(404)).next == .requestAnew(.declareQueue))
        #expect(follow(.no(404), .yes).next == .seed)
        #expect(follow(.no(404), .yes, .yes).next == .request(.claimRegister(Self.nonce)))
        #expect(follow(.no(404), .yes, .yes, .yes).next == .ready)
        #expect(follow(.no(404), .yes, .yes, .no(406)).next == .ready, "somebody else's token is the valid one")
    }

    @Test func aRegisterWithoutAQueueIsMended() {
        #expect(follow(.yes, .no(404)).next == .requestAnew(.lockMend))
        #expect(follow(.yes, .no(404), .yes).next == .request(.findRegister))
        #expect(follow(.yes, .no(404), .yes, .yes).next == .request(.findQueue))
        #expect(follow(.yes, .no(404), .yes, .yes, .yes).next == .request(.unlockMend), "somebody else has mended")
        #expect(follow(.yes, .no(404), .yes, .yes, .no(404)).next == .requestAnew(.deleteRegister))
        #expect(follow(.yes, .no(404), .yes, .yes, .no(404), .yes).next == .request(.unlockMend))
        let end = follow(.yes, .no(404), .yes, .yes, .no(404), .yes, .yes)
        #expect(end.next == .pause && !end.preparation.mayHaveMend)
        let other = follow(.yes, .no(404), .no(405))
        #expect(other.next == .pause && !other.preparation.mayHaveMend)
    }

    @Test func aLockWithoutATokenIsHealedThoughItsQueueIsThere() {
        #expect(follow(heals: true).next == .requestAnew(.lockMend))
        #expect(follow(heals: true, .yes).next == .request(.findRegister))
        #expect(follow(heals: true, .yes, .yes).next == .request(.claimRegister(Self.nonce)))
        #expect(follow(heals: true, .yes, .yes, .no(406)).next == .requestAnew(.unlockMend), "somebody else has mended")
        #expect(follow(heals: true, .yes, .yes, .yes).next == .request(.deleteRegister))
        #expect(follow(heals: true, .yes, .no(404)).next == .requestAnew(.unlockMend))
        #expect(follow(heals: true, .yes, .yes, .yes, .yes).next == .request(.unlockMend))
        #expect(follow(heals: true, .yes, .yes, .yes, .yes, .yes).next == .pause)
    }

    /// Whoever may have the mending queue gives it back first, whatever comes in between.
    @Test func theMendingQueueIsGivenBack() {
        for code in [ChannelFault.unanswered, 403, 500] as [UInt16] {
            var preparation = follow(.yes, .no(404), .no(code)).preparation
            #expect(preparation.mayHaveMend)
            #expect(preparation.begin() == .request(.unlockMend))
            #expect(preparation.retreat(.outOfChannels) == .pause)
            #expect(preparation.mayHaveMend, "nothing was asked")
            #expect(preparation.begin() == .request(.unlockMend))
            #expect(preparation.retreat(ChannelFault(code: ChannelFault.resourceLocked, text: "")) == .pause)
            #expect(!preparation.mayHaveMend)
            #expect(preparation.begin() == .request(.findRegister))
        }
    }

    /// Every step and every way in which a broker can close a channel.
    @Test func nothingThatTheBrokerClosesTraps() {
        let codes: [UInt16] = [0, ChannelFault.unanswered, 403, 404, 405, 406, 541]
        var open = [follow(), follow(heals: true)]
        for _ in 0..<7 {
            var following: [(preparation: Preparation, next: Preparation.Next)] = []
            for (preparation, next) in open {
                for code in codes {
                    var closed = preparation
                    let answer = closed.retreat(ChannelFault(code: code, text: ""))
                    if case .requestAnew = answer { following.append((closed, answer)) }
                    var again = closed
                    if case .pause = answer { following.append((again, again.begin())) }
                }
                var advanced = preparation
                let answer = next == .seed ? advanced.seeded(Self.nonce) : advanced.advance()
                if answer != .ready, answer != .pause { following.append((advanced, answer)) }
            }
            var steps: [Preparation.Step] = []
            open = following.filter { each in
                guard !steps.contains(each.preparation.step) else { return false }
                steps.append(each.preparation.step)
                return true
            }
        }
        #expect(!open.isEmpty)
    }

    // MARK: The machine

    private static let token = TokenMachine.Content.token(TokenMessage(number: 64, nonce: nonce), count: 1)

    private func machine(_ events: [TokenMachine.Event]) -> TokenMachine {
        var machine = TokenMachine()
        for event in events { _ = machine.handle(event) }
        return machine
    }

    private static let waiting: [TokenMachine.Event] = [
        .acquire, .done, .done, .done, .consumeConfirmed(.pin), .gotNothing, .counted(2),
    ]

    /// Ways into every state but those in which a request is under way.
    private static let prefixes: [[TokenMachine.Event]] = [
        [], [.acquire, .done, .done, .done], [.acquire, .done, .done, .done, .gotNothing], waiting,
        [.acquire, .done, .done, .done, .delivered(consumer: nil, 1, token)],
        waiting + [.consumeConfirmed(.token(1)), .delivered(consumer: 1, 1, token)],
        waiting + [.delivered(consumer: 1, 1, token), .verified(1)],
        waiting + [.delivered(consumer: 1, 1, token), .cancel],
        [.acquire, .channelUnavailable], [.acquire, .done, .done, .done, .cancel, .gotNothing],
    ]

    /// Whatever the broker can send, at any time; three in a row.
    @Test func nothingThatTheBrokerSendsTraps() {
        var events: [TokenMachine.Event] = [
            .consumeConfirmed(.pin), .consumeConfirmed(.token(1)), .counted(0), .counted(.max), .gotNothing,
            .cancelledByBroker(.pin), .cancelledByBroker(.token(1)), .timer(.pause), .timer(.heal), .timer(.look),
            .pinned(0), .pinned(1), .pinned(2), .identified(2, .unknown), .identified(2, .missing),
            .identified(2, .says(Self.nonce)), .verified(1), .refuted(1), .verificationFailed(1, .outOfChannels),
            .seeded(Self.nonce, .unknown),
        ]
        events += ([0, ChannelFault.unanswered, 403, 404, 405, 406] as [UInt16]).map {
            .channelClosed(ChannelFault(code: $0, text: ""))
        }
        for consumer in [nil, 1, 2] as [UInt64?] {
            events += [Self.token, .foreign, .otherKind].map { .delivered(consumer: consumer, 7, $0) }
        }
        for prefix in Self.prefixes {
            for one in events {
                for two in events {
                    for three in events {
                        var machine = machine(prefix + [one, two, three])
                        if machine.wanted != nil { _ = machine.handle(.cancel) }
                        _ = machine.handle(.release)
                        #expect(machine.wanted == nil)
                    }
                }
            }
        }
    }

    /// As after a stop: the broker has waited too long for what is to become of a delivery, and has taken it back. Whoever has
    /// no token yet goes on waiting, at whatever step that was.
    @Test func aDeliveryThatIsOverdueRefusesNobody() {
        let fault = ChannelFault(code: 406, text: FakeQueues.overdueWords(on: 2))
        var steps: [[TokenMachine.Event]] = [Self.waiting.dropLast(2), Self.waiting]
        steps.append(Self.waiting + [.delivered(consumer: 1, 9, Self.token)])
        steps.append(Self.waiting + [.cancelledByBroker(.pin), .delivered(consumer: 1, 9, Self.token)])
        for events in steps {
            var waiter = machine(events)
            let actions = waiter.handle(.channelClosed(fault))
            #expect(waiter.state == .pausing && waiter.wanted != nil && actions.contains(.start(.pause)), "\(events)")
        }
    }

    @Test func whoeverLeavesTheLineHealsNothing() {
        let delivered = Self.waiting + [.consumeConfirmed(.token(1)), .delivered(consumer: 1, 9, Self.token)]
        var verifying = machine(delivered)
        #expect(verifying.handle(.cancel) == [.stop(.heal), .stop(.look), .cancel(1), .putBack(9)])
        var failing = machine(delivered)
        #expect(failing.handle(.verificationFailed(1, .outOfChannels)).first == .stop(.heal))
        var waiting = machine(Self.waiting + [.consumeConfirmed(.token(1))])
        #expect(waiting.handle(.cancel) == [.stop(.heal), .stop(.look), .cancel(1)])
    }

    /// Else the register of somebody who has mended meanwhile would go, under a new holder.
    @Test func onlyTheRegisterThatWasThereAllTheWhileGoes() {
        var waiter = machine(Self.waiting)
        #expect(waiter.handle(.timer(.heal)) == [.identify(2)])
        #expect(
            waiter.handle(.identified(2, .says(Self.nonce))) == [.start(.heal(behind: 2))], "the same time once more")
        var mended = waiter
        _ = mended.handle(.cancelledByBroker(.pin))
        #expect(mended.handle(.timer(.heal)) == [.identify(3)], "it has gone meanwhile")
        #expect(waiter.handle(.timer(.heal)).contains(.request(.lockMend)))
        #expect(machine(Self.waiting + [.timer(.heal)]).handled(.identified(2, .unknown)) == [.start(.heal(behind: 2))])
        #expect(
            machine(Self.waiting + [.timer(.heal)]).handled(.identified(2, .missing)) == [
                .closeChannel, .start(.pause),
            ])
    }

    /// A token that comes may be none. Whoever finds that out goes on waiting, and heals in the end.
    @Test(arguments: [TokenMachine.Event.timer(.heal), .identified(2, .says(nonce)), .identified(2, .missing)])
    func theTimeToHealRunsOnWhileATokenIsVerified(_ event: TokenMachine.Event) {
        let asked = event == .timer(.heal) ? Self.waiting : Self.waiting + [.timer(.heal)]
        for pinned in [[], [.consumeConfirmed(.pin)]] as [[TokenMachine.Event]] {
            let before: [TokenMachine.Event] =
                [.cancelledByBroker(.pin), .consumeConfirmed(.token(1)), .delivered(consumer: 1, 9, Self.token)]
                + pinned
            #expect(machine(asked + before).handled(event) == [.start(.heal(behind: 2))])
        }
    }

    @Test func anAnswerToAnEarlierWaitSaysNothing() {
        let again = Self.waiting + [.timer(.heal), .cancel, .acquire, .gotNothing, .counted(0)]
        #expect(machine(again).handled(.identified(2, .says(Self.nonce))) == [])
    }

    /// First in line, alone on the register, twice, and the register the same: then nobody can bring the token.
    @Test func whoIsAloneTwiceHealsAtOnce() {
        var first = machine(Self.waiting.dropLast() + [.counted(0)])
        #expect(first.handle(.timer(.look)) == [.countPins])
        #expect(first.handle(.pinned(1)) == [.start(.look), .identify(2)])
        _ = first.handle(.identified(2, .says(Self.nonce)))
        _ = first.handle(.timer(.look))
        for changed in [.pinned(2), .cancelledByBroker(.pin)] as [TokenMachine.Event] {
            var other = first
            _ = other.handle(changed)
            _ = other.handle(.timer(.look))
            #expect(!other.handle(.pinned(1)).contains(.request(.lockMend)), "\(changed)")
        }
        #expect(first.handled(.pinned(1)).contains(.request(.lockMend)))
    }

    @Test func theTimeToHealGrowsWithTheLine() {
        #expect(machine(Self.waiting.dropLast()).handled(.counted(0)) == [.start(.heal(behind: 0)), .start(.look)])
        #expect(machine(Self.waiting.dropLast()).handled(.counted(.max)) == [.start(.heal(behind: .max))])
    }
}

extension TokenMachine {
    fileprivate func handled(_ event: Event) -> [Action] {
        var machine = self
        return machine.handle(event)
    }
}
