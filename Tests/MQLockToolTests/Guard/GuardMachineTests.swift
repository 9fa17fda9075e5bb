import Testing

@testable import MQLockTool

/// Every state of the guard with every event.
@Suite("Guard machine")
struct GuardMachineTests {
    typealias Machine = GuardMachine
    private static let now: Int64 = 1000
    private static let end: [Machine.Action] = [.report(.done(isComplete: true)), .exit]
    private static let killing: [Machine.Action] = [.kill, .report(.killing)]
    /// A second after the kill, which all deadlines here come before.
    private static let giveUp = now + Machine.patience

    private static func running(deadline: Int64 = 2000) -> Machine {
        var machine = Machine(continueSignal: 18)
        #expect(machine.handle(.message(.start(fence: "7", deadline: deadline)), now: now) == [.spawn(fence: "7")])
        return machine
    }

    private static func ending(grace: Int64 = 300) -> Machine {
        var machine = running()
        #expect(machine.handle(.message(.ending(signal: 2, grace: grace)), now: now) == [])
        return machine
    }

    private static func losing() -> Machine {
        var machine = running()
        let actions = machine.handle(.message(.lose(signal: 15, killAt: 1500)), now: now)
        #expect(actions == [.signal(15), .signal(18)])
        return machine
    }

    private static func sweeping() -> Machine {
        var machine = losing()
        let actions = machine.handle(.childEnded(status: 15), now: 1100)
        #expect(actions == [report(15, 1100, .lost), .signalOthers(15), .signalOthers(18)])
        return machine
    }

    private static func killed(_ event: Machine.Event = .pipeClosed, at: Int64 = now) -> Machine {
        var machine = running()
        #expect(machine.handle(event, now: at) == killing)
        return machine
    }

    private static func over() -> Machine {
        var machine = Machine(continueSignal: 18)
        #expect(machine.handle(.pipeClosed, now: now) == [.exit])
        return machine
    }

    private static func report(_ status: Int32, _ at: Int64, _ cause: GuardReport.Cause) -> Machine.Action {
        .report(.ended(status: status, at: at, cause: cause))
    }

    struct Step: Sendable {
        let event: Machine.Event
        var at = now
        let actions: [Machine.Action]
        let state: Machine.State
    }

    private func check(_ start: Machine, _ steps: [Step]) {
        for step in steps {
            var machine = start
            #expect(machine.handle(step.event, now: step.at) == step.actions, "\(start.state) and \(step.event)")
            #expect(machine.state == step.state, "\(start.state) and \(step.event)")
        }
    }

    private func checkIgnored(_ start: Machine, _ events: [Machine.Event]) {
        check(start, events.map { Step(event: $0, actions: [], state: start.state) })
    }

    @Test func idle() {
        let idle = Machine(continueSignal: 18)
        check(
            idle,
            [
                Step(
                    event: .message(.start(fence: "7", deadline: 1001)), actions: [.spawn(fence: "7")],
                    state: .running(deadline: 1001, ending: nil)),
                Step(
                    event: .message(.start(fence: "7", deadline: 1000)), actions: [.report(.expired), .exit],
                    state: .over),
                Step(event: .pipeClosed, actions: [.exit], state: .over),
                Step(event: .tick, at: .max, actions: [], state: .idle),
            ])
        checkIgnored(
            idle,
            [
                .message(.deadline(5000)), .message(.signal(15)), .message(.ending(signal: 15, grace: 1)),
                .message(.lose(signal: 15, killAt: 1)), .spawnFailed(errno: 2), .childEnded(status: 0),
                .childStopped(signal: 21), .treeEmpty,
            ])
    }

    @Test func running() {
        let unchanged = Machine.State.running(deadline: 2000, ending: nil)
        check(
            Self.running(),
            [
                Step(
                    event: .message(.deadline(3000)), actions: [], state: .running(deadline: 3000, ending: nil)),
                Step(
                    event: .message(.deadline(3000)), at: 2500, actions: [],
                    state: .running(deadline: 3000, ending: nil)),
                Step(
                    event: .message(.deadline(3000)), at: 3000, actions: Self.killing,
                    state: .killed(.deadline, since: 3000, giveUpAt: 3000 + Machine.patience)),
                Step(event: .message(.signal(10)), actions: [.signal(10)], state: unchanged),
                Step(
                    event: .message(.ending(signal: 2, grace: 5)), actions: [],
                    state: .running(deadline: 2000, ending: .init(signal: 2, grace: 5))),
                Step(
                    event: .message(.lose(signal: 15, killAt: 1500)), actions: [.signal(15), .signal(18)],
                    state: .losing(signal: 15, killAt: 1500, deadline: 2000)),
                // Never past the proof.
                Step(
                    event: .message(.lose(signal: 15, killAt: 9000)), actions: [.signal(15), .signal(18)],
                    state: .losing(signal: 15, killAt: 2000, deadline: 2000)),
                Step(
                    event: .message(.lose(signal: 15, killAt: 1000)), actions: [.signal(15)] + Self.killing,
                    state: .killed(.lost, since: Self.now, giveUpAt: Self.giveUp)),
                Step(
                    event: .pipeClosed, actions: Self.killing,
                    state: .killed(.orphaned, since: Self.now, giveUpAt: Self.giveUp)),
                Step(event: .spawnFailed(errno: 2), actions: [.report(.failed(errno: 2)), .exit], state: .over),
                Step(event: .childEnded(status: 256), actions: [Self.report(256, 1000, .own)] + Self.end, state: .over),
                Step(event: .childStopped(signal: 21), actions: [.report(.stopped(signal: 21))], state: unchanged),
                Step(event: .tick, at: 1999, actions: [], state: unchanged),
                Step(
                    event: .tick, at: 2000, actions: Self.killing,
                    state: .killed(.deadline, since: 2000, giveUpAt: 2000 + Machine.patience)),
            ])
        checkIgnored(Self.running(), [.message(.start(fence: "8", deadline: 9000)), .treeEmpty])
    }

    @Test("an end was asked for: what the command leaves behind has the grace, and never more than the proof")
    func asked() {
        let others: [Machine.Action] = [.signalOthers(2), .signalOthers(18)]
        let ended = Self.report(0, 1000, .own)
        for (grace, killAt) in [(Int64(300), Int64(1300)), (5000, 2000), (.max, 2000)] {
            check(
                Self.ending(grace: grace),
                [
                    Step(
                        event: .childEnded(status: 0), actions: [ended] + others,
                        state: .sweeping(.own, killAt: killAt, deadline: 2000))
                ])
        }
        check(
            Self.ending(grace: 0),
            [
                Step(
                    event: .childEnded(status: 0), actions: [ended] + Self.killing,
                    state: .killed(.own, since: Self.now, giveUpAt: Self.giveUp))
            ])
        // It goes on with a longer proof, too.
        var renewed = Self.ending()
        #expect(renewed.handle(.message(.deadline(9000)), now: Self.now) == [])
        #expect(renewed.state == .running(deadline: 9000, ending: .init(signal: 2, grace: 300)))
    }

    @Test func losing() {
        check(
            Self.losing(),
            [
                Step(
                    event: .message(.signal(2)), actions: [.signal(2)],
                    state: .losing(signal: 15, killAt: 1500, deadline: 2000)),
                Step(
                    event: .pipeClosed, actions: Self.killing,
                    state: .killed(.orphaned, since: Self.now, giveUpAt: Self.giveUp)),
                Step(
                    event: .childEnded(status: 15),
                    actions: [Self.report(15, 1000, .lost), .signalOthers(15), .signalOthers(18)],
                    state: .sweeping(.lost, killAt: 1500, deadline: 2000)),
                Step(
                    event: .tick, at: 1500, actions: Self.killing,
                    state: .killed(.lost, since: 1500, giveUpAt: 1500 + Machine.patience)),
            ])
        checkIgnored(
            Self.losing(),
            [
                .message(.start(fence: "8", deadline: 9000)), .message(.deadline(9000)), .treeEmpty, .tick,
                .message(.lose(signal: 2, killAt: 9000)), .message(.ending(signal: 2, grace: 1)),
                .spawnFailed(errno: 2), .childStopped(signal: 21),
            ])
    }

    @Test func sweeping() {
        check(
            Self.sweeping(),
            [
                Step(event: .treeEmpty, actions: Self.end, state: .over),
                Step(
                    event: .pipeClosed, actions: Self.killing,
                    state: .killed(.lost, since: Self.now, giveUpAt: Self.giveUp)),
                Step(
                    event: .message(.signal(2)), actions: [.signal(2), .signalOthers(2)],
                    state: .sweeping(.lost, killAt: 1500, deadline: 2000)),
                Step(
                    event: .message(.lose(signal: 2, killAt: 1200)), actions: [.signal(2), .signalOthers(2)],
                    state: .sweeping(.lost, killAt: 1200, deadline: 2000)),
                Step(
                    event: .message(.lose(signal: 2, killAt: 9000)), actions: [.signal(2), .signalOthers(2)],
                    state: .sweeping(.lost, killAt: 1500, deadline: 2000)),
                Step(
                    event: .tick, at: 1500, actions: Self.killing,
                    state: .killed(.lost, since: 1500, giveUpAt: 1500 + Machine.patience)),
            ])
        checkIgnored(
            Self.sweeping(),
            [
                .message(.start(fence: "8", deadline: 9000)), .message(.deadline(9000)), .tick,
                .message(.ending(signal: 2, grace: 1)), .spawnFailed(errno: 2), .childEnded(status: 0),
                .childStopped(signal: 21),
            ])
    }

    @Test("killed: again and again until nobody is left, or the proof is over")
    func killed() {
        let dead = Machine.State.killed(.orphaned, since: Self.now, giveUpAt: Self.giveUp)
        check(
            Self.killed(),
            [
                Step(event: .childEnded(status: 9), actions: [Self.report(9, 1000, .orphaned)], state: dead),
                Step(event: .treeEmpty, actions: Self.end, state: .over),
                Step(event: .tick, actions: [.kill], state: dead),
                Step(
                    event: .tick, at: Self.giveUp,
                    actions: [.reportSurvivors, .report(.done(isComplete: false)), .exit], state: .over),
            ])
        checkIgnored(
            Self.killed(),
            [
                .message(.start(fence: "8", deadline: 9000)), .message(.deadline(.max)), .message(.signal(2)),
                .message(.lose(signal: 2, killAt: 9000)), .message(.ending(signal: 2, grace: 1)),
                .spawnFailed(errno: 2), .childStopped(signal: 21), .pipeClosed,
            ])
        // The proof may be longer than the kernel's time.
        var long = Self.running(deadline: .max)
        #expect(long.handle(.pipeClosed, now: Self.now) == Self.killing)
        #expect(long.state == .killed(.orphaned, since: Self.now, giveUpAt: .max))
        // A lock that is still held is held as long as somebody is left.
        var held = Self.ending(grace: 0)
        _ = held.handle(.childEnded(status: 0), now: Self.now)
        #expect(held.handle(.message(.deadline(.max)), now: Self.now) == [])
        #expect(held.state == .killed(.own, since: Self.now, giveUpAt: .max))
    }

    @Test("nothing is done after the end")
    func over() {
        checkIgnored(
            Self.over(),
            [
                .message(.start(fence: "8", deadline: 9000)), .message(.deadline(9000)), .message(.signal(2)),
                .message(.lose(signal: 2, killAt: 9000)), .message(.ending(signal: 2, grace: 1)), .pipeClosed,
                .spawnFailed(errno: 2), .childEnded(status: 0), .childStopped(signal: 21), .treeEmpty, .tick,
            ])
    }

    @Test("there is always an instant at which what runs is killed, or it has been")
    func wakes() {
        #expect(Machine(continueSignal: 18).wakeAt(now: 0) == nil)
        #expect(Self.running().wakeAt(now: 0) == 2000)
        #expect(Self.losing().wakeAt(now: 0) == 1500)
        #expect(Self.sweeping().wakeAt(now: 0) == 1500)
        #expect(Self.sweeping().wakeAt(now: -Machine.sweepInterval) == 0)
        #expect(Self.killed().wakeAt(now: Self.now) == Self.now + Machine.sweepInterval)
        #expect(held().wakeAt(now: Self.giveUp) == Self.giveUp + Machine.slowInterval)
        #expect(Self.killed().wakeAt(now: Self.giveUp) == Self.giveUp)
        #expect(Self.over().wakeAt(now: 0) == nil)
    }

    /// Killed under a proof that goes on for ever.
    private func held() -> Machine {
        var machine = Self.running(deadline: .max)
        #expect(machine.handle(.pipeClosed, now: Self.now) == Self.killing)
        return machine
    }

    @Test("messages and reports survive the pipe, in any pieces; anything else is refused")
    func lines() {
        let messages: [GuardMessage] = [
            .start(fence: "9223372036854775807", deadline: .max), .deadline(-1), .signal(64),
            .ending(signal: 15, grace: .max), .lose(signal: 9, killAt: 0),
        ]
        var buffer = LineBuffer()
        let bytes = messages.map(\.line).joined().utf8
        #expect(bytes.flatMap { buffer.append([$0]) }.map(GuardMessage.init(line:)) == messages)
        let reports: [GuardReport] = [
            .started(pid: 1), .failed(errno: 13), .expired, .ended(status: 256, at: 5, cause: .own),
            .ended(status: 9, at: 5, cause: .deadline), .stopped(signal: 21), .undelivered(signal: 15, errno: 1),
            .killing, .survivor(pid: 7, errno: 1), .done(isComplete: true), .done(isComplete: false),
        ]
        #expect(buffer.append(reports.map(\.line).joined().utf8).map(GuardReport.init(line:)) == reports)
        for bad in [
            "", "start", "start 1", "deadline x", "signal", "lose 1", "ending 1", "ended 1 2 nothing", "started -", "x",
            "done", "done 1", "survivor 1", "stopped",
        ] {
            #expect(GuardMessage(line: bad) == nil)
            #expect(GuardReport(line: bad) == nil)
        }
    }
}
