#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The steps of `mqlock run` from the grant to the command's end: a value that takes events and answers with actions.
struct RunMachine {
    enum Event: Equatable {
        case report(GuardReport)
        /// The guard's pipe closed, or the guard is stuck.
        case guardGone
        /// The lock is lost, or nearly so; the command may live up to `killAt`.
        case lost(reason: String, killAt: Int64)
        case signal(Int32)
        /// The terminal has sent it to the command as well as to us, because both are in its foreground.
        case terminalSignal(Int32)
    }

    enum Action: Equatable {
        case tell(GuardMessage)
        /// End the command and all that it has started ourselves, because there is no guard any more to do it. Not even
        /// the command's process id may be known.
        case endTree(pid: Int32?)
        case noteStarted(pid: Int32)
        case noteLost(String)
        case noteStopped(signal: Int32)
        case noteUndelivered(signal: Int32, errno: Int32)
        case noteSurvivor(pid: Int32, errno: Int32)
        case finish(Ending)
    }

    /// How the command ended.
    enum Ending: Equatable {
        /// - `status` is that of waitpid(2).
        case ended(status: Int32, at: Int64, cause: GuardReport.Cause)
        case notExecuted(errno: Int32)
        /// It continues: nothing could end it.
        case survived
        /// The proof had run out before the command could start.
        case expired
        case guardLost
    }

    private enum State: Equatable {
        case running
        /// The command has ended; the guard may still be ending what it has left behind.
        case sweeping(Ending)
        case over
    }

    private var state = State.running
    private var pid: Int32?
    private(set) var isLost = false
    /// Whether processes that had to end continue.
    private(set) var hasSurvivors = false
    /// The signal to the command on a loss.
    let lossSignal: Int32
    /// How long processes that the command leaves behind may continue when an end was requested; at most as long as the
    /// proof.
    let grace: Int64

    init(lossSignal: Int32, killAfter: Duration? = nil) {
        self.lossSignal = lossSignal
        grace = killAfter?.wholeNanoseconds ?? .max
    }

    mutating func handle(_ event: Event) -> [Action] {
        switch (state, event) {
        case (.over, _): return []
        case (.sweeping(let ending), .guardGone): return [.endTree(pid: nil)] + finish(ending)
        case (.running, .guardGone): return [.endTree(pid: pid)] + finish(.guardLost)
        case (_, .report(let report)): return reported(report)
        case (_, .lost(let reason, let killAt)):
            guard !isLost else { return [] }
            isLost = true
            return [.tell(.lose(signal: lossSignal, killAt: killAt)), .noteLost(reason)]
        case (_, .signal(let signal)):
            guard Signals.terminating.contains(signal) else { return [.tell(.signal(signal))] }
            return [.tell(.ending(signal: signal, grace: grace)), .tell(.signal(signal)), .tell(.signal(SIGCONT))]
        case (_, .terminalSignal(let signal)):
            guard Signals.terminating.contains(signal) else { return [] }
            // As in timeout(1): a command that is stopped, for example because it read the terminal, could not act on
            // it.
            return [.tell(.ending(signal: signal, grace: grace)), .tell(.signal(SIGCONT))]
        }
    }

    /// A process that we could not end either.
    mutating func survived() { hasSurvivors = true }

    private mutating func reported(_ report: GuardReport) -> [Action] {
        switch report {
        case .started(let pid):
            self.pid = pid
            return [.noteStarted(pid: pid)]
        case .failed(let code): return finish(.notExecuted(errno: code))
        case .expired: return finish(.expired)
        case .stopped(let signal): return [.noteStopped(signal: signal)]
        case .undelivered(let signal, let code): return [.noteUndelivered(signal: signal, errno: code)]
        case .survivor(let pid, let code): return [.noteSurvivor(pid: pid, errno: code)]
        case .killing: return []
        case .ended(let status, let at, let cause):
            state = .sweeping(.ended(status: status, at: at, cause: cause))
            return []
        case .done(let isComplete):
            hasSurvivors = !isComplete
            if case .sweeping(let ending) = state { return finish(ending) }
            return finish(.survived)
        }
    }

    private mutating func finish(_ ending: Ending) -> [Action] {
        state = .over
        return [.finish(ending)]
    }

    /// The exit status of `mqlock run`.
    /// - Parameters:
    ///   - lostAt: when the lock was lost, if it was, on the clock of the guard's reports.
    func exitStatus(_ ending: Ending, lostAt: Int64?) -> Int32 {
        if hasSurvivors { return ExitStatus.survived }
        switch ending {
        case .notExecuted(let code): return CommandLookup.failure("", errno: code).status
        case .expired: return ExitStatus.lost
        case .survived: return ExitStatus.survived
        case .guardLost: return isLost ? ExitStatus.lost : ExitStatus.internalError
        case .ended(let status, let at, let cause):
            // A command that had ended before the lock was lost did all of its work under the lock.
            let wasHeld = cause == .own && lostAt.map { at <= $0 } ?? true
            return wasHeld ? WaitStatus(status).exitStatus : ExitStatus.lost
        }
    }
}
