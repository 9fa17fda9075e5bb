import CMQLockProcess

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Starts the command as a child of the guard.
///
/// posix_spawn(3) cannot ask the kernel to end the child with its parent. So this uses fork(2) and execve(2), which the
/// guard may do because it has one thread.
struct CommandStart {
    let path: String
    /// Both end with nil.
    let arguments: Spawn.CStrings
    let environment: Spawn.CStrings
    /// 0 creates a new group; any other number joins that group.
    let processGroup: pid_t
    /// Signals that stay ignored, because they were ignored when we were started (nohup).
    let ignored: Set<Int32>

    /// Returns when the command's file runs, or cannot run.
    /// - Returns: the process id, or the error number negated.
    func callAsFunction() -> pid_t {
        guard let failure = Spawn.pipe() else { return -errno }
        let parent = getpid()
        let pid = mqlock_fork()
        if pid == 0 { become(childOf: parent, failure.writing) }
        let code = errno
        close(failure.writing)
        defer { close(failure.reading) }
        guard pid > 0 else { return -code }
        // An end without data means that the descriptor was closed because the file runs.
        var reason: Int32 = 0
        let size = MemoryLayout<Int32>.size
        guard Platform.retrying({ read(failure.reading, &reason, size) }) == size else { return pid }
        _ = Platform.retrying { waitpid(pid, nil, 0) }
        return -reason
    }

    private func become(childOf parent: pid_t, _ failure: Int32) -> Never {
        #if os(Linux)
        _ = mqlock_set_parent_death_signal(SIGKILL)
        // If the parent is already dead, the signal would never be sent.
        if getppid() != parent { _exit(ExitStatus.ended(bySignal: SIGKILL)) }
        #endif
        if setpgid(0, processGroup) == 0 {
            for number in Signals.resettable { signal(number, ignored.contains(number) ? SIG_IGN : SIG_DFL) }
            var none = Signals.set([])
            sigprocmask(SIG_SETMASK, &none, nil)
            Execution.become(path, arguments, environment)
        }
        var reason = errno
        _ = write(failure, &reason, MemoryLayout<Int32>.size)
        _exit(ExitStatus.cannotExecute)
    }
}
