import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// A command under its guard, from the grant to its end.
struct GuardedCommand: Sendable {
    let options: RunOptions
    let link: GuardLink
    let events: AsyncStream<RunMachine.Event>
    let reporter: RunReporter

    /// From the start of the command to its end.
    func follow(_ machine: inout RunMachine) async -> RunMachine.Ending {
        for await event in events {
            for action in machine.handle(event) {
                switch action {
                case .tell(let message): link.tell(message)
                case .killCommand(let pid): await kill(pid)
                case .noteStarted(let pid): reporter.started(pid: pid)
                case .noteLost(let reason): reporter.lost(reason)
                case .finish(let ending): return ending
                }
            }
        }
        return .guardLost
    }

    func note(_ ending: RunMachine.Ending) {
        switch ending {
        case .ended(let status, _, _): reporter.exited(WaitStatus(status))
        case .notExecuted(let code):
            let failure = CommandLookup.failure(options.command[0], errno: code)
            reporter.failed(failure.message, status: failure.status)
        case .expired: reporter.failed("the lock was lost before the command started", status: ExitStatus.lost)
        case .guardLost:
            reporter.failed("the guard has gone; the command was killed", status: ExitStatus.internalError)
        }
    }

    /// The guard is gone: kills the command, which is not our child, and sees that it is dead before the lock is
    /// released. Bounded, because a container without an init keeps its dead for ever.
    private func kill(_ pid: Int32) async {
        let target = options.foreground ? pid : -pid
        for _ in 0..<100 {
            guard sendSignal(target, SIGKILL) == 0 else { return }
            try? await Task.sleep(for: .milliseconds(10))
        }
    }
}

/// kill(2), which inside the session is another's name.
private func sendSignal(_ target: pid_t, _ signal: Int32) -> Int32 { kill(target, signal) }
