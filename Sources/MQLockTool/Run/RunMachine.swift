#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// What `mqlock run` does from the grant to the command's end: a value that takes events and answers with actions.
struct RunMachine {
    enum Event: Equatable {
        case report(GuardReport)
        /// The guard's pipe closed, or the guard is stuck.
        case guardGone
        /// The lock is lost, or as good as lost; the command may live up to `killAt`.
        case lost(reason: String, killAt: Int64)
        case signal(Int32)
    }

    enum Action: Equatable {
        case tell(GuardMessage)
        /// Kill the command ourselves: there is no guard any more that would.
        case killCommand(pid: Int32)
        case noteStarted(pid: Int32)
        case noteLost(String)
        case finish(Ending)
    }

    /// How it came out.
    enum Ending: Equatable {
        /// - `status` is that of waitpid(2).
        case ended(status: Int32, at: Int64, cause: GuardReport.Cause)
        case notExecuted(errno: Int32)
        /// The proof had run out before the command could start.
        case expired
        case guardLost
    }

    private enum State: Equatable {
        case running
        /// After a loss the command has ended; the guard still sees to the rest of its group.
        case sweeping(Ending)
        case over
    }

    private var state = State.running
    private var pid: Int32?
    private(set) var isLost = false
    /// What the command is sent on a loss.
    let lossSignal: Int32

    init(lossSignal: Int32) { self.lossSignal = lossSignal }

    mutating func handle(_ event: Event) -> [Action] {
        switch (state, event) {
        case (.over, _): return []
        case (.sweeping(let ending), .guardGone): return finish(ending)
        case (.sweeping, _): return []
        case (.running, .report(let report)): return reported(report)
        case (.running, .guardGone):
            let last = pid.map { [Action.killCommand(pid: $0)] } ?? []
            return last + finish(.guardLost)
        case (.running, .lost(let reason, let killAt)):
            guard !isLost else { return [] }
            isLost = true
            return [.tell(.lose(signal: lossSignal, killAt: killAt)), .noteLost(reason)]
        case (.running, .signal(let signal)):
            // As timeout(1): a command that is stopped, say because it read the terminal, could not act on it.
            let wakes = Signals.terminating.contains(signal)
            return [.tell(.signal(signal))] + (wakes ? [.tell(.signal(SIGCONT))] : [])
        }
    }

    private mutating func reported(_ report: GuardReport) -> [Action] {
        switch report {
        case .started(let pid):
            self.pid = pid
            return [.noteStarted(pid: pid)]
        case .failed(let code): return finish(.notExecuted(errno: code))
        case .expired: return finish(.expired)
        case .ended(let status, let at, let cause):
            let ending = Ending.ended(status: status, at: at, cause: cause)
            guard isLost else { return finish(ending) }
            state = .sweeping(ending)
            return []
        }
    }

    private mutating func finish(_ ending: Ending) -> [Action] {
        state = .over
        return [.finish(ending)]
    }
}

extension RunMachine.Ending {
    /// The exit status of `mqlock run`.
    /// - Parameters:
    ///   - lostAt: when the lock was lost, if it was, on the clock of the guard's reports.
    func exitStatus(isLost: Bool, lostAt: Int64?) -> Int32 {
        switch self {
        case .notExecuted(let code): return CommandLookup.failure("", errno: code).status
        case .expired: return ExitStatus.lost
        case .guardLost: return isLost ? ExitStatus.lost : ExitStatus.internalError
        case .ended(let status, let at, let cause):
            // A command that had ended before the lock was lost did all of its work under it.
            let wasHeld = cause == .own && lostAt.map { at <= $0 } ?? true
            return wasHeld ? WaitStatus(status).exitStatus : ExitStatus.lost
        }
    }
}

/// A status of waitpid(2); the macros that take it apart are not imported.
struct WaitStatus: Equatable {
    private let raw: Int32

    init(_ raw: Int32) { self.raw = raw }

    /// The signal that ended the process.
    var signal: Int32? { raw & 0x7f == 0 ? nil : raw & 0x7f }
    /// What a shell would show.
    var exitStatus: Int32 { signal.map(ExitStatus.ended(bySignal:)) ?? (raw >> 8) & 0xff }
}
