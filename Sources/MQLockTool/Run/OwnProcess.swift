import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// How `run` and `elect` set up their own process: it receives every signal that it can pass on, and inherits what a
/// guard would leave behind.
struct OwnProcess {
    /// Signals that were ignored when we were started, and stay ignored for the command.
    let ignored: Set<Int32>
    /// The processes that a guard of ours would leave behind.
    let remains: Remains
    private let heard: [Int32]

    /// Call this before anything else: we decide about every signal from here on. Every thread that starts later
    /// inherits the mask.
    init() {
        let ignored = Signals.ignoredNow().subtracting([SIGCHLD])
        self.ignored = ignored
        heard = Signals.forwarded.filter { !ignored.contains($0) }
        // Not ignored, because an ignored signal would not be received.
        signal(SIGCHLD) { _ in }
        var mask = Signals.set(heard + [SIGCHLD])
        pthread_sigmask(SIG_BLOCK, &mask, nil)
        for number in Signals.ofOwnWriting { signal(number, SIG_IGN) }
        remains = Remains(ownsTree: ProcessTree.adoptOrphans())
    }

    /// Waits for signals until the process exits. As process 1 it also collects every orphan that ends.
    /// - Parameters:
    ///   - foreground: whether the command is in our process group.
    ///   - act: performs the desk's decision. Signals that the terminal has sent to both of us are marked.
    func listen(
        foreground: Bool, _ desk: Locked<SignalDesk>, _ act: (SignalDesk.Action, _ isFromTerminal: Bool) -> Void
    ) -> Never {
        var set = Signals.set(heard + [SIGCHLD])
        while true {
            guard let (number, isFromKernel) = Self.next(&set) else { continue }
            if number == SIGCHLD {
                ProcessTree.collect()
                continue
            }
            let action = desk.withLock { $0.received(number) }
            let isFromTerminal = foreground && isFromKernel && Self.ofTerminals.contains(number)
            switch action {
            // The one signal that we always receive.
            case .stop: kill(getpid(), SIGSTOP)
            default: act(action, isFromTerminal)
            }
        }
    }

    private static let ofTerminals: Set<Int32> = Signals.stopping.union([SIGINT, SIGQUIT, SIGHUP, SIGWINCH])

    private static func next(_ set: inout sigset_t) -> (number: Int32, isFromKernel: Bool)? {
        #if os(Linux)
        var info = siginfo_t()
        let number = sigwaitinfo(&set, &info)
        // Signals of processes have a code of 0 or less; signals of the kernel have a larger one.
        return number > 0 ? (number, info.si_code > 0) : nil
        #else
        var number: Int32 = 0
        guard sigwait(&set, &number) == 0 else { return nil }
        // The sender is unknown. Where there is a terminal, signals that terminals send are assumed to be its own.
        return (number, number != SIGHUP && isatty(0) == 1)
        #endif
    }
}
