import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// What `run` and `elect` make of their own process: it hears every signal that it can pass on, and inherits what a guard
/// would leave behind.
struct OwnProcess {
    /// Signals that were ignored when we were started, and stay so for the command.
    let ignored: Set<Int32>
    /// What a guard of ours would leave behind.
    let remains: Remains
    private let heard: [Int32]

    /// To be called first of all: a signal from here on is for us to judge. Every thread that starts later inherits the
    /// mask.
    init() {
        let ignored = Signals.ignoredNow().subtracting([SIGCHLD])
        self.ignored = ignored
        heard = Signals.forwarded.filter { !ignored.contains($0) }
        // Not ignored, or it would not be heard.
        signal(SIGCHLD) { _ in }
        var mask = Signals.set(heard + [SIGCHLD])
        pthread_sigmask(SIG_BLOCK, &mask, nil)
        for number in Signals.ofOwnWriting { signal(number, SIG_IGN) }
        remains = Remains(ownsTree: ProcessTree.adoptOrphans())
    }

    /// Waits for signals until the process exits. As process 1, too, it collects every orphan that ends.
    /// - Parameters:
    ///   - foreground: whether the command is in our process group.
    ///   - act: takes what the desk says. What the terminal has sent to both of us is marked.
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
            // The one that nobody can keep from us.
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
        // Processes send with a code of 0 or less; what the kernel sends is above.
        return number > 0 ? (number, info.si_code > 0) : nil
        #else
        var number: Int32 = 0
        guard sigwait(&set, &number) == 0 else { return nil }
        // Who has sent it is not known: what terminals send is taken for theirs where there is one.
        return (number, number != SIGHUP && isatty(0) == 1)
        #endif
    }
}
