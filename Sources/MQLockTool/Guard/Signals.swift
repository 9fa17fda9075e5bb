#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Signals and what we make of them.
enum Signals {
    /// Whoever sends one of these wants an end. While the lock is waited for they end the wait.
    static let terminating: Set<Int32> = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]
    /// These end the wait, too: an alarm or a limit that was set before `mqlock` was started is one on the wait.
    static let endingWaits = terminating.union([SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU])
    /// What a terminal stops processes with. While the lock is waited for they stop `mqlock`, as anybody expects.
    static let stopping: Set<Int32> = [SIGTSTP, SIGTTIN, SIGTTOU]

    /// Whatever can be reset for a child: not KILL and STOP, nor those that belong to the C library.
    static let resettable: [Int32] = {
        var numbers = Array(1..<Int32(32))
        #if os(Linux)
        numbers += __libc_current_sigrtmin()...__libc_current_sigrtmax()
        #endif
        return numbers.filter { $0 != SIGKILL && $0 != SIGSTOP }
    }()
    /// What is passed on to the command: all but what is about the process that gets it.
    static let forwarded = resettable.filter { !faults.contains($0) && !ofOwnWriting.contains($0) && $0 != SIGCHLD }
    /// What the guard lets pass: it ends only after the command.
    static let deafTo = resettable.filter { !faults.contains($0) && $0 != SIGCHLD }
    /// What comes of our own writing, and is told by write(2) as well.
    static let ofOwnWriting: Set<Int32> = [SIGPIPE, SIGXFSZ]

    /// What a defect raises in the process that has it.
    private static let faults: Set<Int32> = {
        var numbers: Set<Int32> = [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS]
        #if canImport(Darwin)
        numbers.insert(SIGEMT)
        #endif
        return numbers
    }()

    /// Those that were ignored when we were started. To be asked first of all.
    static func ignoredNow() -> Set<Int32> {
        Set(
            resettable.filter { signal in
                var action = sigaction()
                guard readAction(signal, &action) == 0 else { return false }
                #if canImport(Darwin)
                let handler = action.__sigaction_u.__sa_handler
                #else
                let handler = action.__sigaction_handler.sa_handler
                #endif
                return unsafeBitCast(handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
            })
    }

    static func set(_ signals: some Sequence<Int32>) -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        return set
    }
}

/// sigaction(2) with no new action; apart because the function shares its name with the structure.
private func readAction(_ signal: Int32, _ action: inout sigaction) -> Int32 { sigaction(signal, nil, &action) }
