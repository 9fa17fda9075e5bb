import Testing

@testable import MQLockRabbitMQ

@Suite(.inBackground, .serialized) struct SupervisorMachineTests {
    private typealias Machine = SupervisorMachine

    /// Whether the world can produce the event: the outcome of an attempt needs an attempt.
    private static func isPossible(_ event: Machine.Event, in state: Machine.State) -> Bool {
        switch (event, state) {
        case (.connected, .connecting), (.failedForNow, .connecting), (.failedForGood, .connecting): true
        case (.connected, _), (.failedForNow, _), (.failedForGood, _): false
        default: true
        }
    }

    /// Every sequence of eight events that the world can produce.
    @Test func everySequenceKeepsThePromises() {
        var sequences = 0
        var reached: [Machine.State] = []
        func explore(_ machine: Machine, _ world: World, depth: Int) {
            sequences += 1
            if !reached.contains(machine.state) { reached.append(machine.state) }
            guard depth > 0 else { return }
            for event in Machine.Event.allCases where Self.isPossible(event, in: machine.state) {
                var next = machine
                var after = world
                after.happens(event)
                for action in next.handle(event) { after.perform(action, in: next.state) }
                after.check(next.state)
                explore(next, after, depth: depth - 1)
            }
        }
        explore(Machine(), World(), depth: 8)
        #expect(sequences > 50_000)
        for state in [Machine.State.idle, .connected(attempt: 1), .draining, .stopped, .waiting(attempt: 1)] {
            #expect(reached.contains(state), "\(state) was never reached")
        }
    }

    /// What an observer of the actions can count.
    private struct World {
        var attempts = 0
        var sessions = 0
        var isWaiting = false
        var stops = 0
        var wanted = false
        var isShutDown = false

        mutating func happens(_ event: Machine.Event) {
            switch event {
            case .connected:
                attempts -= 1
                sessions += 1
            case .failedForNow, .failedForGood: attempts -= 1
            case .sessionEnded, .sessionEndedSoon: sessions = 0
            case .waitOver: isWaiting = false
            case .wanted: wanted = true
            case .shutdown: isShutDown = true
            case .drained: break
            }
        }

        mutating func perform(_ action: Machine.Action, in state: Machine.State) {
            switch action {
            case .connect: attempts += 1
            case .wait: isWaiting = true
            case .cancelWait: isWaiting = false
            case .cancelAttempt: attempts -= 1
            case .announceSession: #expect(sessions == 1 && !isShutDown, "a session is announced after the shutdown")
            case .closeSession: sessions = 0
            case .stopped: stops += 1
            case .failContenders: wanted = false
            case .turnContendersAway, .drain: break
            }
        }

        func check(_ state: Machine.State) {
            #expect(attempts <= 1, "two attempts at once in \(state)")
            #expect(stops <= 1)
            #expect((state == .stopped) == (stops == 1))
            if state == .stopped { #expect(attempts == 0 && sessions == 0 && !isWaiting) }
            // Whoever wants a session is served in the end: something is under way, or stands.
            if wanted, !isShutDown {
                switch state {
                case .connecting, .connected, .waiting: break
                default: Issue.record("wanted, and nothing happens in \(state)")
                }
            }
            switch state {
            case .draining, .stopped: break
            default: if isShutDown { Issue.record("shut down, and still in \(state)") }
            }
        }
    }

    @Test func reconnectsWithGrowingDelaysUntilConnected() {
        var machine = Machine()
        #expect(machine.handle(.wanted) == [.connect])
        #expect(machine.handle(.failedForNow) == [.wait(attempt: 2)])
        #expect(machine.handle(.waitOver) == [.connect])
        #expect(machine.handle(.failedForNow) == [.wait(attempt: 3)])
        #expect(machine.handle(.waitOver) == [.connect])
        #expect(machine.handle(.connected) == [.announceSession])
        #expect(machine.handle(.sessionEnded) == [.wait(attempt: 1)])
    }

    /// Whether it does not come up, or comes up and is gone: only a session that has lasted makes the next pause short.
    @Test func pausesGrowUntilASessionLasts() {
        func explore(_ machine: Machine, _ failures: Int, depth: Int) {
            guard depth > 0 else { return }
            let ways: [(events: [Machine.Event], failures: Int)] = [
                ([.failedForNow], failures + 1), ([.connected, .sessionEndedSoon], failures + 1),
                ([.connected, .sessionEnded], 0),
            ]
            for way in ways {
                var next = machine
                var actions: [Machine.Action] = []
                for event in way.events { actions = next.handle(event) }
                #expect(actions == [.wait(attempt: way.failures + 1)])
                #expect(next.hasFailed == (way.failures > 0))
                #expect(next.handle(.waitOver) == [.connect])
                explore(next, way.failures, depth: depth - 1)
            }
        }
        var machine = Machine()
        _ = machine.handle(.wanted)
        explore(machine, 0, depth: 6)
    }

    @Test func anAttemptIsNotWaitedFor() {
        var machine = Machine()
        _ = machine.handle(.wanted)
        #expect(machine.handle(.shutdown) == [.cancelAttempt, .turnContendersAway, .stopped])
    }

    @Test func drainsBeforeItCloses() {
        var machine = Machine()
        _ = machine.handle(.wanted)
        _ = machine.handle(.connected)
        #expect(machine.handle(.shutdown) == [.turnContendersAway, .drain])
        #expect(machine.handle(.wanted) == [])
        #expect(machine.handle(.drained) == [.closeSession, .stopped])
    }

    @Test func aPermanentFailureIsTriedAgainOnlyWhenWanted() {
        var machine = Machine()
        _ = machine.handle(.wanted)
        #expect(machine.handle(.failedForGood) == [.failContenders])
        #expect(machine.handle(.waitOver) == [])
        #expect(machine.handle(.wanted) == [.connect])
    }
}
