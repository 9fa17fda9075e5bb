import MQLock
import Testing

@testable import MQLockRabbitMQ

/// The machine of the line by itself: rules that no fault of the simulated broker makes the difference for, or too seldom.
@Suite struct LineTests {
    /// A line with the timers that its lock would have, and the nonces of what it published.
    struct Probe {
        var line: Line
        var timers: Set<Line.Timer> = []
        var published: [(publication: Line.Publication, nonce: Nonce)] = []

        init(provesByQueue: Bool = false, sendsWants: Bool = false) {
            line = Line(provesByQueue: provesByQueue, sendsWants: sendsWants)
        }

        @discardableResult mutating func feed(_ event: Line.Event) -> [Line.Action] {
            if case .timer(let timer) = event { timers.remove(timer) }
            if case .channelClosed = event { timers.formIntersection([.limit]) }
            let actions = line.handle(event)
            for action in actions {
                switch action {
                case .start(let timer): timers.insert(timer)
                case .stop(let timer): timers.remove(timer)
                case .closeChannel: timers.formIntersection([.limit])
                case .publish(let publication):
                    published.append((publication, LineTests.nonce(100 + published.count)))
                    _ = line.handle(.publishing(publication, LineTests.nonce(99 + published.count)))
                default: break
                }
            }
            if line.wanted == nil { timers.remove(.limit) }
            return actions
        }

        func after(_ events: [Line.Event]) -> Probe {
            var probe = self
            for event in events { probe.feed(event) }
            return probe
        }
    }

    static func nonce(_ number: Int) -> Nonce {
        .numbered(number)
    }

    static func token(_ number: Int, fence: UInt64, _ wear: Line.Wear = .fresh, after: UInt64 = 0) -> Line.Content {
        FencingToken(rawValue: fence).map { .token(nonce(number), fence: $0, wear, after: after) }
            ?? .absurd(number: fence, count: 0)
    }

    private func loses(_ actions: [Line.Action]) -> Bool {
        actions.contains { if case .lose = $0 { true } else { false } }
    }

    // MARK: Every state and event

    /// Ways into every state.
    private static let prefixes: [[Line.Event]] = [
        [], [.acquire], [.tryAcquire], [.acquire, .declared(messages: 0, consumers: 0), .bound],
        [.tryAcquire, .declared(messages: 0, consumers: 0), .bound],
        [.acquire, .declared(messages: 1, consumers: 0)], [.tryAcquire, .declared(messages: 1, consumers: 0)],
        [.acquire, .declared(messages: 0, consumers: 1), .consuming],
        [.tryAcquire, .declared(messages: 0, consumers: 1), .consuming],
        [.acquire, .channelUnavailable], [.tryAcquire, .channelUnavailable],
        [.acquire, .declared(messages: 1, consumers: 0), .delivered(1, redelivered: false, token(1, fence: 64))],
        [
            .acquire, .declared(messages: 1, consumers: 0),
            .delivered(1, redelivered: false, token(1, fence: 64, .worn)),
        ],
        [
            .acquire, .declared(messages: 1, consumers: 0),
            .delivered(1, redelivered: true, token(1, fence: 64, .wornOut)),
        ],
        [
            .tryAcquire, .declared(messages: 1, consumers: 0), .consuming,
            .delivered(1, redelivered: true, token(1, fence: 64, .wornOut)),
        ],
        [
            .acquire, .declared(messages: 1, consumers: 0), .delivered(1, redelivered: false, token(1, fence: 64)),
            .timer(.retry),
        ],
        [
            .acquire, .declared(messages: 1, consumers: 0), .delivered(1, redelivered: false, token(1, fence: 64)),
            .timer(.retry), .delivered(2, redelivered: false, .companion(nonce(100), count: 0)), .timer(.companion),
        ],
        [
            .acquire, .declared(messages: 1, consumers: 0),
            .delivered(1, redelivered: true, token(1, fence: 64, .wornOut)), .timer(.retry),
        ],
        [
            .acquire, .declared(messages: 1, consumers: 0), .delivered(1, redelivered: false, token(1, fence: 64)),
            .raise, .delivered(2, redelivered: false, token(100, fence: 160, after: 64)),
            .delivered(3, redelivered: false, .companion(nonce(101), count: 0)),
        ],
    ]

    /// Whatever the broker can send, at any time, and every timer that runs; two in a row.
    @Test(arguments: [false, true], [false, true])
    func nothingThatTheBrokerSendsTraps(provesByQueue: Bool, sendsWants: Bool) {
        var states: Set<String> = []
        for prefix in Self.prefixes {
            let probe = Probe(provesByQueue: provesByQueue, sendsWants: sendsWants)
            var known = probe.after([.acquire, .declared(messages: 1, consumers: 0)])
            known.feed(.cancel)
            for start in [probe, known] where isPossible(prefix, start) {
                let first = start.after(prefix)
                for event in events(first) {
                    let second = first.after([event])
                    states.insert(name(second.line.state))
                    for event in events(second) { check(second.after([event]), after: event) }
                }
            }
        }
        #expect(states.count == 6, "\(states)")
    }

    /// A timer that fires has to run.
    private func isPossible(_ prefix: [Line.Event], _ start: Probe) -> Bool {
        var probe = start
        for event in prefix {
            if case .timer(let timer) = event, !probe.timers.contains(timer) { return false }
            probe.feed(event)
        }
        return true
    }

    private func events(_ probe: Probe) -> [Line.Event] {
        let codes: [UInt16] = [ChannelFault.unanswered, 403, 404, 405, 406, 0, 541]
        let nonces = [1, 2] + Array(100..<100 + probe.published.count)
        var events: [Line.Event] = [.bound, .consuming, .cancelledByBroker]
        events += [(0, 0), (1, 0), (0, 1)].map { .declared(messages: $0, consumers: $1) }
        events += codes.map { .channelClosed(ChannelFault(code: $0, text: "")) }
        for redelivered in [false, true] {
            var contents: [Line.Content] = [.absurd(number: .max, count: 0), .absurd(number: 1, count: -1)]
            contents += [.otherKind, .foreign, .want]
            for nonce in nonces {
                contents += [Self.token(nonce, fence: 32), Self.token(nonce, fence: 128, .wornOut, after: 96)]
                contents += [0, 1, 2].map { .companion(Self.nonce(nonce), count: $0) }
            }
            events += contents.map { .delivered(9, redelivered: redelivered, $0) }
        }
        for (publication, nonce) in probe.published {
            let fault = ChannelFault(code: 403, text: "")
            events += [.arrived, .unknown, .unroutable, .refused(fault)].map { .outcome(publication, nonce, $0) }
        }
        if probe.line.isFirst { events.append(.raise) }
        return events + Line.Timer.allCases.filter(probe.timers.contains).map { .timer($0) }
    }

    /// Whoever stays may leave; whoever has left wants nothing, and nothing of it runs on.
    private func check(_ probe: Probe, after event: Line.Event) {
        var probe = probe
        switch probe.line.state {
        case .out: break
        case .first:
            #expect(probe.line.wanted == nil)
            probe.feed(.release)
        case .pausing, .declaring, .waiting, .preparing:
            #expect(probe.line.wanted != nil, "\(event)")
            if probe.line.wanted != nil { probe.feed(.cancel) }
        }
        #expect(probe.line.isQuiet && probe.timers.isEmpty, "\(probe.timers) after \(event)")
    }

    private func name(_ state: Line.State) -> String {
        switch state {
        case .out: "out"
        case .pausing: "pausing"
        case .declaring: "declaring"
        case .waiting: "waiting"
        case .preparing: "preparing"
        case .first: "first"
        }
    }

    // MARK: Rules

    private static let granted: [Line.Event] = [
        .acquire, .declared(messages: 1, consumers: 0), .delivered(1, redelivered: true, token(1, fence: 64)),
    ]

    /// What has to come before the grant is published a moment after the token.
    private static let preparing = granted + [.timer(.retry)]

    /// The token itself comes before its companion, unless it was exchanged: the count tells what the token cannot.
    @Test func aCompanionThatSomebodyElseHadShowsALostPlace() {
        var holder = Probe(provesByQueue: true).after(Self.preparing)
        let companion = holder.published[0].nonce
        #expect(holder.feed(.delivered(2, redelivered: false, .companion(companion, count: 0))).contains(.proven))
        #expect(holder.feed(.timer(.companion)) == [.putBack(2)])
        var other = holder
        #expect(holder.feed(.delivered(3, redelivered: true, .companion(companion, count: 1))).contains(.proven))
        let actions = other.feed(.delivered(3, redelivered: true, .companion(companion, count: 2)))
        #expect(loses(actions) && !actions.contains(.proven) && !actions.contains(.acknowledge(3)))
    }

    @Test func ofATokenThatComesAgainNothingIsAcknowledged() {
        var holder = Probe().after(Self.granted)
        let actions = holder.feed(.delivered(2, redelivered: true, Self.token(1, fence: 96)))
        #expect(loses(actions) && actions.last == .closeChannel)
        #expect(!actions.contains { if case .acknowledge = $0 { true } else { false } })
    }

    @Test func aSurplusTokenIsAcknowledgedWhateverItsNumber() {
        var holder = Probe().after(Self.granted)
        for redelivered in [false, true] {
            for (fence, after) in [(32, 0), (64, 32), (1 << 40, 0), (1 << 40, 32)] as [(UInt64, UInt64)] {
                let content = Self.token(2, fence: fence, after: after)
                #expect(holder.feed(.delivered(2, redelivered: redelivered, content)) == [.acknowledge(2)])
            }
        }
    }

    /// A fresh one is one that it did not wait for any more. One that comes again has been with somebody.
    @Test func whatItPublishedItselfEndsTheHoldWhenItComesAgain() {
        var holder = Probe().after(Self.granted)
        let own = Self.token(2, fence: 128, after: 64)
        #expect(holder.feed(.delivered(2, redelivered: false, own)) == [.acknowledge(2)])
        let actions = holder.feed(.delivered(3, redelivered: true, own))
        #expect(loses(actions) && !actions.contains { if case .acknowledge = $0 { true } else { false } })
    }

    @Test func theFirstTokenEndsTheHoldAfterItsExchangeToo() {
        var holder = Probe().after(Self.granted + [.timer(.exchange)])
        let fresh = Line.Content.token(
            holder.published[0].nonce, fence: FencingToken(rawValue: 128)!, .fresh, after: 64)
        #expect(holder.feed(.delivered(2, redelivered: false, fresh)).contains(.acknowledge(1)))
        let actions = holder.feed(.delivered(3, redelivered: true, Self.token(1, fence: 96)))
        #expect(loses(actions) && !actions.contains { if case .acknowledge = $0 { true } else { false } })
    }

    /// Somebody was granted in between, and published this: it stays, ours goes.
    @Test(arguments: [false, true]) func aLaterHoldersTokenEndsTheHold(redelivered: Bool) {
        var holder = Probe().after(Self.granted)
        let actions = holder.feed(.delivered(2, redelivered: redelivered, Self.token(2, fence: 128, after: 96)))
        #expect(loses(actions) && actions.suffix(2) == [.acknowledge(1), .closeChannel])
    }

    /// What was delivered first may be somebody else's by the time that the companion is here.
    @Test func beforeTheGrantALaterHoldersTokenStays() {
        var waiter = Probe(provesByQueue: true).after(Self.preparing)
        #expect(!waiter.line.isFirst)
        #expect(waiter.after([]).feed(2, redelivered: true, fence: 128) == [.acknowledge(2)])
        let actions = waiter.feed(.delivered(2, redelivered: true, Self.token(2, fence: 128, after: 96)))
        #expect(actions == [.acknowledge(1), .closeChannel, .start(.restart)])
    }

    /// The broker gave the place to somebody else without a word: else what it has confirmed would be here.
    @Test func whoeverIsNotDeliveredWhatArrivedGoesBackInLine() {
        var waiter = Probe(provesByQueue: true).after(Self.preparing)
        #expect(waiter.feed(.outcome(.companion, waiter.published[0].nonce, .arrived)) == [.start(.retry)])
        #expect(waiter.feed(.timer(.retry)) == [.closeChannel, .start(.restart)])
    }

    @Test func aGrantThatComesToNothingGivesThePlaceUpBeforeItsExchangeIsPublished() {
        var line = Line()
        for event in Self.granted.dropLast() { _ = line.handle(event) }
        let actions = line.handle(.delivered(1, redelivered: true, Self.token(1, fence: 64, .worn)))
        #expect(actions.last == .publish(.exchange))
        _ = line.handle(.release)
        _ = line.handle(.acquire)
        #expect(line.handle(.publishing(.exchange, Self.nonce(7))) == [])
        #expect(line.handle(.outcome(.exchange, Self.nonce(7), .unknown)) == [])
    }

    @Test func withoutAChannelNoTimerRunsOn() {
        var known = Probe().after([.acquire, .declared(messages: 1, consumers: 0)])
        known.feed(.cancel)
        #expect(known.line.isKnown)
        #expect(known.after([.acquire, .channelUnavailable]).timers == [.restart])
        #expect(known.after([.acquire, .channelUnavailable, .cancel]).timers == [])
        #expect(known.after([.acquire, .channelClosed(.outOfChannels)]).timers == [])
    }

    // MARK: Wants

    /// Only from the broker's answer on can a want not be forgotten by whoever releases and joins again in front of us.
    @Test(arguments: [Line.Event.acquire, .tryAcquire]) func aWantIsSentOnceAndNotBeforeThePlaceIsConfirmed(
        _ event: Line.Event
    ) {
        var line = Probe(sendsWants: true).after([event, .declared(messages: 0, consumers: 1)])
        #expect(!line.timers.contains(.want))
        line.feed(.consuming)
        #expect(line.timers.contains(.want))
        #expect(line.feed(.timer(.want)) == [.publish(.want)])
        #expect(!line.timers.contains(.want))
        var silent = Probe().after([event, .declared(messages: 0, consumers: 1)])
        silent.feed(.consuming)
        #expect(!silent.timers.contains(.want))
    }

    @Test func whoeverIsServedBeforeSendsNone() {
        var line = Probe(sendsWants: true).after([.acquire, .declared(messages: 0, consumers: 1), .consuming])
        line.feed(.delivered(1, redelivered: false, Self.token(1, fence: 64)))
        #expect(line.line.isFirst && !line.timers.contains(.want))
    }

    @Test func whereWantsAreRefusedNoMoreAreSent() {
        var line = Probe(sendsWants: true)
        line.feed(.acquire)
        line.feed(.declared(messages: 0, consumers: 1))
        for event: Line.Event in [.consuming, .timer(.want)] { line.feed(event) }
        let fault = ChannelFault(code: ChannelFault.accessRefused, text: "")
        #expect(line.feed(.outcome(.want, line.published[0].nonce, .refused(fault))) == [])
        for event: Line.Event in [.cancel, .acquire, .consuming] { line.feed(event) }
        #expect(!line.timers.contains(.want))
    }

    /// Whenever it came: before the token, with it, or while the lock is held.
    @Test(arguments: 0...2) func aWantIsRememberedFromTheConsumeOnAndForgottenWithThePlace(_ position: Int) {
        var events: [Line.Event] = [
            .acquire, .declared(messages: 1, consumers: 0), .consuming,
            .delivered(1, redelivered: false, Self.token(1, fence: 64)),
        ]
        events.insert(.delivered(7, redelivered: position == 0, .want), at: 2 + position)
        var line = Probe()
        for event in events {
            let actions = line.feed(event)
            guard case .delivered(7, _, _) = event else { continue }
            #expect(actions == [.acknowledge(7)] + (position == 2 ? [.wanted] : []))
        }
        #expect(line.line.isFirst && line.line.isWanted)
        for event: Line.Event in [.release, .acquire] { line.feed(event) }
        #expect(!line.line.isWanted)
    }

    /// Where all try and nobody waits, nobody else would seed a queue that has lost its token.
    @Test func aTryThatWasContendedIsFollowedByOneThatLooks() {
        var line = Probe().after([.tryAcquire, .declared(messages: 0, consumers: 1), .consuming])
        #expect(line.feed(.timer(.answer)) == [.closeChannel, .contended])
        #expect(line.feed(.tryAcquire) == [.start(.limit), .openChannel, .declare])
        line.feed(.declared(messages: 0, consumers: 0))
        #expect(line.feed(.bound) == [.publish(.seed), .start(.declare)])
    }
}

extension LineTests.Probe {
    fileprivate func feed(_ nonce: Int, redelivered: Bool, fence: UInt64) -> [Line.Action] {
        var probe = self
        return probe.feed(.delivered(2, redelivered: redelivered, LineTests.token(nonce, fence: fence)))
    }
}
