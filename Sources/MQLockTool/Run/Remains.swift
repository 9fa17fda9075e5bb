import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// The processes that a dead or stuck guard leaves behind. `mqlock` inherits them, and ends them in the guard's place
/// before it releases the lock.
struct Remains: Sendable {
    struct Survivor: Equatable {
        let pid: pid_t
        let errno: Int32
    }

    /// Whether everything below this process belongs to the guard, with all orphans. Otherwise only the command's group
    /// is known.
    /// known.
    let ownsTree: Bool

    /// - Parameters:
    ///   - command: its process id, if it is known.
    ///   - until: when the lock may have its next holder, on ``BootClock``.
    /// - Returns: the processes that continue.
    func end(command: pid_t?, ownsGroup: Bool, until: @Sendable () -> Int64) async -> [Survivor] {
        let patienceEnds = BootClock.after(.nanoseconds(GuardMachine.patience))
        let target = command.map { ownsGroup ? -$0 : $0 }
        // Once only: later the number may belong to another process.
        let isRefused = target.map { kill($0, SIGKILL) == -1 && errno == EPERM } ?? false
        while true {
            let left = ownsTree ? killTree() : killed(target, isRefused)
            guard !left.isEmpty else { return [] }
            // A killed process that is still in a group may be dead: a container without an init collects none.
            let limit = ownsTree || isRefused ? max(patienceEnds, until()) : patienceEnds
            guard BootClock.now < limit else { return ownsTree || isRefused ? left : [] }
            let interval = BootClock.now < patienceEnds ? GuardMachine.sweepInterval : GuardMachine.slowInterval
            try? await Task.sleep(for: .nanoseconds(interval))
        }
    }

    private func killTree() -> [Survivor] {
        var left: [Survivor] = []
        for member in ProcessTree.members(below: getpid()) where !member.isZombie {
            if kill(member.pid, SIGKILL) == 0 {
                left.append(Survivor(pid: member.pid, errno: 0))
            } else if errno != ESRCH {
                left.append(Survivor(pid: member.pid, errno: errno))
            }
        }
        if ProcessTree.isEmpty { return [] }
        return left.isEmpty ? [Survivor(pid: 0, errno: 0)] : left
    }

    private func killed(_ target: pid_t?, _ isRefused: Bool) -> [Survivor] {
        guard let target, kill(target, 0) == 0 || errno == EPERM else { return [] }
        return [Survivor(pid: abs(target), errno: isRefused ? EPERM : 0)]
    }
}
