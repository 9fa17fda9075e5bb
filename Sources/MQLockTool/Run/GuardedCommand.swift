import MQLock

/// A command under its guard, from the grant to its end.
struct GuardedCommand: Sendable {
    let options: RunOptions
    let link: GuardLink
    let events: AsyncStream<RunMachine.Event>
    let reporter: RunReporter
    let remains: Remains

    /// From the start of the command to its end, and to the end of all that has to end with it.
    func follow(_ machine: inout RunMachine) async -> RunMachine.Ending {
        for await event in events {
            for action in machine.handle(event) {
                switch action {
                case .tell(let message): link.tell(message)
                case .endTree(let pid):
                    let left = await remains.end(
                        command: pid, ownsGroup: !options.foreground, until: { link.provenUntil })
                    if !left.isEmpty { machine.survived() }
                    for survivor in left { reporter.survivor(pid: survivor.pid, errno: survivor.errno) }
                case .noteStarted(let pid): reporter.started(pid: pid)
                case .noteLost(let reason): reporter.lost(reason)
                case .noteStopped(let signal): reporter.stopped(by: signal, isForeground: options.foreground)
                case .noteUndelivered(let signal, let code): reporter.undelivered(signal, errno: code)
                case .noteSurvivor(let pid, let code): reporter.survivor(pid: pid, errno: code)
                case .finish(let ending): return ending
                }
            }
        }
        return .guardLost
    }

    func note(_ ending: RunMachine.Ending, hasSurvivors: Bool) {
        switch ending {
        case .ended(let status, _, _): reporter.exited(WaitStatus(status))
        case .notExecuted(let code):
            let failure = CommandLookup.failure(options.command[0], errno: code)
            reporter.failed(failure.message, status: failure.status)
        case .survived: reporter.failed("the command goes on without the lock", status: ExitStatus.survived)
        case .expired: reporter.failed("the lock was lost before the command started", status: ExitStatus.lost)
        case .guardLost where hasSurvivors: reporter.failed("the guard has gone", status: ExitStatus.survived)
        case .guardLost:
            reporter.failed("the guard has gone; the command was killed", status: ExitStatus.internalError)
        }
    }
}
