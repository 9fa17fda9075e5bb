import Testing

@testable import MQLockTool

@Suite("Run machine, signal desk, statuses")
struct RunMachineTests {
    private let ended = GuardReport.ended(status: 768, at: 50, cause: .own)
    private let done = GuardReport.done(isComplete: true)

    private func started() -> RunMachine {
        var machine = RunMachine(lossSignal: 10)
        #expect(machine.handle(.report(.started(pid: 42))) == [.noteStarted(pid: 42)])
        return machine
    }

    @Test("the command ends by itself")
    func normal() {
        var machine = started()
        #expect(machine.handle(.report(ended)) == [])
        #expect(machine.handle(.report(done)) == [.finish(.ended(status: 768, at: 50, cause: .own))])
        #expect(machine.handle(.lost(reason: "late", killAt: 1)) == [])
        #expect(machine.handle(.guardGone) == [])
        #expect(machine.handle(.signal(15)) == [])
    }

    @Test("a loss is passed on once, and the end waits for the guard, which sees to the group")
    func loss() {
        var machine = started()
        #expect(
            machine.handle(.lost(reason: "why", killAt: 90)) == [
                .tell(.lose(signal: 10, killAt: 90)), .noteLost("why"),
            ])
        #expect(machine.handle(.lost(reason: "again", killAt: 95)) == [])
        #expect(machine.handle(.signal(12)) == [.tell(.signal(12))])
        let end = GuardReport.ended(status: 10, at: 80, cause: .lost)
        #expect(machine.handle(.report(end)) == [])
        #expect(machine.handle(.signal(12)) == [.tell(.signal(12))])
        #expect(machine.handle(.report(done)) == [.finish(.ended(status: 10, at: 80, cause: .lost))])
    }

    @Test("without a guard everything is ended, whatever is known of it, also when only the rest of it was left")
    func guardGone() {
        var machine = started()
        #expect(machine.handle(.guardGone) == [.endTree(pid: 42), .finish(.guardLost)])
        var early = RunMachine(lossSignal: 15)
        #expect(early.handle(.guardGone) == [.endTree(pid: nil), .finish(.guardLost)])
        var late = started()
        #expect(late.handle(.report(ended)) == [])
        #expect(late.handle(.guardGone) == [.endTree(pid: nil), .finish(.ended(status: 768, at: 50, cause: .own))])
    }

    @Test("what could not be ended is told at once, and is the status only if it has outlived the proof")
    func survivors() {
        let ending = RunMachine.Ending.ended(status: 768, at: 50, cause: .own)
        for (isComplete, status) in [(true, Int32(3)), (false, 71)] {
            var machine = started()
            #expect(machine.handle(.report(ended)) == [])
            #expect(machine.handle(.report(.survivor(pid: 9, errno: 1))) == [.noteSurvivor(pid: 9, errno: 1)])
            #expect(machine.handle(.report(.done(isComplete: isComplete))) == [.finish(ending)])
            #expect(machine.exitStatus(ending, lostAt: nil) == status)
        }
        var command = started()
        let signal = GuardReport.undelivered(signal: 15, errno: 1)
        #expect(command.handle(.report(signal)) == [.noteUndelivered(signal: 15, errno: 1)])
        #expect(command.handle(.report(.killing)) == [])
        #expect(command.handle(.report(.done(isComplete: false))) == [.finish(.survived)])
        #expect(command.exitStatus(.survived, lostAt: nil) == 71)
        var orphans = started()
        #expect(orphans.handle(.guardGone) == [.endTree(pid: 42), .finish(.guardLost)])
        orphans.survived()
        #expect(orphans.exitStatus(.guardLost, lostAt: nil) == 71)
    }

    @Test("a command that cannot be started")
    func notStarted() {
        var failing = RunMachine(lossSignal: 15)
        #expect(failing.handle(.report(.failed(errno: 2))) == [.finish(.notExecuted(errno: 2))])
        var late = RunMachine(lossSignal: 15)
        #expect(late.handle(.report(.expired)) == [.finish(.expired)])
    }

    @Test("signals that end wake a stopped command too, and say that what it leaves behind is to end")
    func signals() {
        var machine = RunMachine(lossSignal: 15, killAfter: .nanoseconds(7))
        let ending = RunMachine.Action.tell(.ending(signal: 15, grace: 7))
        #expect(machine.handle(.signal(15)) == [ending, .tell(.signal(15)), .tell(.signal(18))])
        #expect(machine.handle(.signal(10)) == [.tell(.signal(10))])
        #expect(machine.handle(.terminalSignal(15)) == [ending, .tell(.signal(18))])
        #expect(machine.handle(.terminalSignal(28)) == [])
        #expect(RunMachine(lossSignal: 15).grace == .max)
    }

    @Test("exit statuses: the command's own counts only if it ended under the lock")
    func statuses() {
        func status(_ ending: RunMachine.Ending, lost: Bool = false, at: Int64? = nil) -> Int32 {
            var machine = started()
            if lost { _ = machine.handle(.lost(reason: "why", killAt: 90)) }
            return machine.exitStatus(ending, lostAt: at)
        }
        let own = RunMachine.Ending.ended(status: 768, at: 50, cause: .own)
        #expect(status(own) == 3)
        #expect(status(own, lost: true, at: 51) == 3)
        #expect(status(own, lost: true, at: 50) == 3)
        #expect(status(own, at: 49) == 123)
        #expect(status(.ended(status: 9, at: 50, cause: .own)) == 137)
        for cause in [GuardReport.Cause.deadline, .lost, .orphaned] {
            #expect(status(.ended(status: 0, at: 50, cause: cause)) == 123)
        }
        #expect(status(.expired) == 123)
        #expect(status(.guardLost) == 70)
        #expect(status(.guardLost, lost: true) == 123)
        #expect(status(.notExecuted(errno: 2)) == 127)
        #expect(status(.notExecuted(errno: 13)) == 126)
        #expect(status(.notExecuted(errno: 8)) == 126)
    }

    @Test("while waiting a signal does what it does to any process, but in good order; a second one quits")
    func waiting() {
        for signal in Signals.forwarded {
            var desk = SignalDesk()
            if Signals.stopping.contains(signal) {
                #expect(desk.received(signal) == .stop)
            } else if Signals.endingWaits.contains(signal) {
                #expect(desk.received(signal) == .cancel)
                #expect(desk.cancelledBy == signal)
                #expect(desk.received(12) == .none)
                #expect(desk.received(15) == .quit(15))
                let begun = desk.begin()
                #expect(!begun)
            } else {
                #expect(desk.received(signal) == .none)
                #expect(desk.phase == .waiting)
            }
        }
    }

    @Test("while the command runs everything is passed on, and afterwards nothing")
    func forwarding() {
        var desk = SignalDesk()
        let begun = desk.begin()
        #expect(begun)
        #expect(desk.cancelledBy == nil)
        for signal in Signals.forwarded { #expect(desk.received(signal) == .forward(signal)) }
        desk.end()
        #expect(desk.received(15) == .none)
    }

    @Test("a candidate: the second signal quits when the command has ended; otherwise there may be another command")
    func candidates() {
        var desk = SignalDesk()
        desk.quitsWhenOver = true
        let begun = desk.begin()
        #expect(begun)
        #expect(desk.received(10) == .forward(10))
        desk.end()
        #expect(desk.received(15) == .none)
        let again = desk.waitAgain()
        #expect(again && desk.phase == .waiting)
        let begunAgain = desk.begin()
        #expect(begunAgain)
        #expect(desk.received(15) == .forward(15))
        desk.end()
        let another = desk.waitAgain()
        #expect(!another)
        #expect(desk.received(2) == .quit(2))
    }
}
