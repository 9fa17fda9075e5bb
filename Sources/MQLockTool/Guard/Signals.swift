#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Signals and what we make of them.
enum Signals {
    /// While the lock is waited for these end the wait.
    static let terminating: Set<Int32> = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]
    /// What is passed on to the command. WINCH only in the foreground: in a group of its own it has no terminal.
    static let forwarded: [Int32] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGCONT, SIGWINCH]
    /// Whatever can be reset for a child. KILL and STOP cannot, and 32 and 33 belong to the C library.
    static let resettable: [Int32] = (1..<32).filter { $0 != SIGKILL && $0 != SIGSTOP }
    /// What the guard lets pass: it ends only after the command.
    static let deafTo: [Int32] = [
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU,
    ]

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
