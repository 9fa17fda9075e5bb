import Testing

@testable import MQLockTool

/// Every state of the guard with every event.
@Suite("Guard machine")
struct GuardMachineTests {
    typealias Machine = GuardMachine
    private static let now: Int64 = 1000

    private static func machine(ownsGroup: Bool = true) -> Machine {
        Machine(ownsGroup: ownsGroup, continueSignal: 18)
    }

    private static func running(deadline: Int64 = 2000, ownsGroup: Bool = true) -> Machine {
        var machine = machine(ownsGroup: ownsGroup)
        #expect(machine.handle(.message(.start(fence: "7", deadline: deadline)), now: now) == [.spawn(fence: "7")])
        return machine
    }

    private static func losing(killAt: Int64 = 1500, ownsGroup: Bool = true) -> Machine {
        var machine = running(ownsGroup: ownsGroup)
        let actions = machine.handle(.message(.lose(signal: 15, killAt: killAt)), now: now)
        #expect(actions == [.signal(15), .signal(18)])
        return machine
    }

    private static func killed() -> Machine {
        var machine = running()
        #expect(machine.handle(.pipeClosed, now: now) == [.kill])
        return machine
    }

    private static func sweeping() -> Machine {
        var machine = losing()
        #expect(machine.handle(.childEnded(status: 15), now: 1100) == [report(15, 1100, .lost)])
        return machine
    }

    private static func over() -> Machine {
        var machine = machine()
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

    @Test func idle() {
        check(
            Self.machine(),
            [
                Step(
                    event: .message(.start(fence: "7", deadline: 1001)), actions: [.spawn(fence: "7")],
                    state: .running(deadline: 1001)),
                Step(
                    event: .message(.start(fence: "7", deadline: 1000)), actions: [.report(.expired), .exit],
                    state: .over),
                Step(event: .message(.deadline(5000)), actions: [], state: .idle),
                Step(event: .message(.signal(15)), actions: [], state: .idle),
                Step(event: .message(.lose(signal: 15, killAt: 1)), actions: [], state: .idle),
                Step(event: .pipeClosed, actions: [.exit], state: .over),
                Step(event: .spawnFailed(errno: 2), actions: [], state: .idle),
                Step(event: .childEnded(status: 0), actions: [], state: .idle),
                Step(event: .groupEmpty, actions: [], state: .idle),
                Step(event: .tick, at: .max, actions: [], state: .idle),
            ])
    }

    @Test func running() {
        let unchanged = Machine.State.running(deadline: 2000)
        check(
            Self.running(),
            [
                Step(event: .message(.start(fence: "8", deadline: 9000)), actions: [], state: unchanged),
                Step(event: .message(.deadline(3000)), actions: [], state: .running(deadline: 3000)),
                Step(event: .message(.deadline(3000)), at: 2500, actions: [], state: .running(deadline: 3000)),
                Step(event: .message(.deadline(3000)), at: 3000, actions: [.kill], state: .killed(.deadline)),
                Step(event: .message(.signal(10)), actions: [.signal(10)], state: unchanged),
                Step(
                    event: .message(.lose(signal: 15, killAt: 1500)), actions: [.signal(15), .signal(18)],
                    state: .losing(killAt: 1500)),
                // Never past the proof.
                Step(
                    event: .message(.lose(signal: 15, killAt: 9000)), actions: [.signal(15), .signal(18)],
                    state: .losing(killAt: 2000)),
                Step(
                    event: .message(.lose(signal: 15, killAt: 1000)), actions: [.signal(15), .kill],
                    state: .killed(.lost)),
                Step(event: .pipeClosed, actions: [.kill], state: .killed(.orphaned)),
                Step(event: .spawnFailed(errno: 2), actions: [.report(.failed(errno: 2)), .exit], state: .over),
                Step(event: .childEnded(status: 256), actions: [Self.report(256, 1000, .own), .exit], state: .over),
                Step(event: .groupEmpty, actions: [], state: unchanged),
                Step(event: .tick, at: 1999, actions: [], state: unchanged),
                Step(event: .tick, at: 2000, actions: [.kill], state: .killed(.deadline)),
            ])
    }

    @Test func losing() {
        let unchanged = Machine.State.losing(killAt: 1500)
        check(
            Self.losing(),
            [
                Step(event: .message(.start(fence: "8", deadline: 9000)), actions: [], state: unchanged),
                Step(event: .message(.deadline(9000)), actions: [], state: unchanged),
                Step(event: .message(.signal(2)), actions: [.signal(2)], state: unchanged),
                Step(event: .message(.lose(signal: 2, killAt: 9000)), actions: [], state: unchanged),
                Step(event: .pipeClosed, actions: [.kill], state: .killed(.orphaned)),
                Step(event: .spawnFailed(errno: 2), actions: [], state: unchanged),
                Step(
                    event: .childEnded(status: 15), actions: [Self.report(15, 1000, .lost)],
                    state: .sweeping(killAt: 1500)),
                Step(event: .groupEmpty, actions: [], state: unchanged),
                Step(event: .tick, at: 1499, actions: [], state: unchanged),
                Step(event: .tick, at: 1500, actions: [.kill], state: .killed(.lost)),
            ])
        var foreground = Self.losing(ownsGroup: false)
        #expect(foreground.handle(.childEnded(status: 15), now: 1100) == [Self.report(15, 1100, .lost), .exit])
        #expect(foreground.state == .over)
    }

    @Test func killedAndSweeping() {
        let dead = Machine.State.killed(.orphaned)
        let others: [Machine.Event] = [
            .message(.start(fence: "8", deadline: 9000)), .message(.deadline(9000)), .message(.signal(2)),
            .message(.lose(signal: 2, killAt: 9000)), .spawnFailed(errno: 2),
        ]
        check(Self.killed(), (others + [.pipeClosed, .groupEmpty]).map { Step(event: $0, actions: [], state: dead) })
        check(
            Self.killed(),
            [
                Step(event: .tick, at: .max, actions: [], state: dead),
                Step(event: .childEnded(status: 9), actions: [Self.report(9, 1000, .orphaned), .exit], state: .over),
            ])
        let sweeping = Machine.State.sweeping(killAt: 1500)
        check(
            Self.sweeping(), (others + [.childEnded(status: 0)]).map { Step(event: $0, actions: [], state: sweeping) })
        check(
            Self.sweeping(),
            [
                Step(event: .groupEmpty, actions: [.exit], state: .over),
                Step(event: .pipeClosed, actions: [.kill, .exit], state: .over),
                Step(event: .tick, at: 1499, actions: [], state: sweeping),
                Step(event: .tick, at: 1500, actions: [.kill, .exit], state: .over),
            ])
        check(
            Self.over(),
            (others + [.pipeClosed, .groupEmpty, .childEnded(status: 0), .tick])
                .map { Step(event: $0, actions: [], state: .over) })
    }

    @Test("there is always an instant at which a command that runs is killed, or it has been")
    func wakes() {
        #expect(Self.machine().wakeAt(now: 0) == nil)
        #expect(Self.running().wakeAt(now: 0) == 2000)
        #expect(Self.losing().wakeAt(now: 0) == 1500)
        #expect(Self.killed().wakeAt(now: 0) == nil)
        #expect(Self.sweeping().wakeAt(now: 0) == 1500)
        #expect(Self.sweeping().wakeAt(now: -Machine.sweepInterval) == 0)
        #expect(Self.over().wakeAt(now: 0) == nil)
    }

    @Test("messages and reports survive the pipe, in any pieces; anything else is refused")
    func lines() {
        let messages: [GuardMessage] = [
            .start(fence: "9223372036854775807", deadline: .max), .deadline(-1), .signal(64),
            .lose(signal: 9, killAt: 0),
        ]
        var buffer = LineBuffer()
        let bytes = messages.map(\.line).joined().utf8
        #expect(bytes.flatMap { buffer.append([$0]) }.map(GuardMessage.init(line:)) == messages)
        let reports: [GuardReport] = [
            .started(pid: 1), .failed(errno: 13), .expired, .ended(status: 256, at: 5, cause: .own),
            .ended(status: 9, at: 5, cause: .deadline),
        ]
        #expect(buffer.append(reports.map(\.line).joined().utf8).map(GuardReport.init(line:)) == reports)
        for bad in ["", "start", "start 1", "deadline x", "signal", "lose 1", "ended 1 2 nothing", "started -", "x"] {
            #expect(GuardMessage(line: bad) == nil)
            #expect(GuardReport(line: bad) == nil)
        }
    }
}
