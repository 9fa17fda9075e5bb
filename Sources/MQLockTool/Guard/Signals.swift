#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Signals, and how we treat them.
enum Signals {
    /// The sender of one of these requests an end. While waiting for the lock they end the wait.
    static let terminating: Set<Int32> = [SIGINT, SIGTERM, SIGHUP, SIGQUIT]
    /// These end the wait, too: an alarm or a limit that was set before `mqlock` was started applies to the wait.
    static let endingWaits = terminating.union([SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU])
    /// The signals with which a terminal stops processes. While waiting for the lock they stop `mqlock`, as people
    /// expect.
    static let stopping: Set<Int32> = [SIGTSTP, SIGTTIN, SIGTTOU]

    /// All signals that can be reset for a child: not KILL and STOP, nor those of the C library.
    static let resettable: [Int32] = {
        var numbers = Array(1..<Int32(32))
        #if os(Linux)
        numbers += __libc_current_sigrtmin()...__libc_current_sigrtmax()
        #endif
        return numbers.filter { $0 != SIGKILL && $0 != SIGSTOP }
    }()
    /// The signals passed on to the command: all except those about the process that gets them.
    static let forwarded = resettable.filter { !faults.contains($0) && !ofOwnWriting.contains($0) && $0 != SIGCHLD }
    /// The signals that the guard ignores: it ends only after the command.
    static let deafTo = resettable.filter { !faults.contains($0) && $0 != SIGCHLD }
    /// Caused by our own writing; write(2) reports them as well.
    static let ofOwnWriting: Set<Int32> = [SIGPIPE, SIGXFSZ]

    /// Raised by a defect in the process that has it.
    private static let faults: Set<Int32> = {
        var numbers: Set<Int32> = [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS]
        #if canImport(Darwin)
        numbers.insert(SIGEMT)
        #endif
        return numbers
    }()

    /// The signals that were ignored when we were started. Ask before anything else.
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

/// sigaction(2) without a new action; separate because the function has the same name as the structure.
private func readAction(_ signal: Int32, _ action: inout sigaction) -> Int32 { sigaction(signal, nil, &action) }
