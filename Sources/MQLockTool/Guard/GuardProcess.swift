#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// The guard: a process of one thread that starts the command and kills it, with everything that it has started, when
/// `mqlock` is gone or no longer proves that it holds the lock.
///
/// Runs before any concurrency of the language has started, so it can rely on a signal handler, fork(2) and poll(2)
/// alone. It is the parent of the command and, on Linux, of every orphan below. So a process id that it signals is,
/// except for microseconds, one that nobody has collected.
struct GuardProcess {
    /// `mqlock guard CONTROL REPORT GROUP PATH ARGUMENT…`; GROUP is 0 for a group of the command's own.
    struct Invocation: Equatable {
        let control: Int32
        let report: Int32
        let group: pid_t
        let path: String
        /// The index in argv of the command's own arguments, its name first.
        static let firstArgument = 6

        init?(_ arguments: [String]) {
            guard arguments.count > Self.firstArgument, arguments[1] == CommandDescriptor.guardian.name,
                let control = Int32(arguments[2]), let report = Int32(arguments[3]), let group = Int32(arguments[4]),
                control > 2, report > 2, control != report, group >= 0
            else { return nil }
            (self.control, self.report, self.group, path) = (control, report, group, arguments[5])
        }
    }

    private let invocation: Invocation
    private let arguments: Spawn.CStrings
    private let ignored: Set<Int32>
    private let childSignal: Int32
    /// Whether the tree is known. Otherwise the command's group stands for it.
    private let adoptsOrphans: Bool
    private var machine: GuardMachine
    private var lines = LineBuffer()
    /// 0 before the command was started and after it was reaped.
    private var pid: pid_t = 0
    /// 0 when it is not the command's own.
    private var group: pid_t = 0
    private var survivors: Set<pid_t> = []
    private var isOver = false
    private var pipeIsOpen = true

    /// Takes over the process if it was started as a guard; otherwise returns.
    static func runIfAsked() {
        guard let invocation = Invocation(OwnWords.raw.map { String(cString: $0) }) else { return }
        var process = Self(invocation)
        process?.run()
        exit(process == nil ? ExitStatus.internalError : ExitStatus.success)
    }

    private init?(_ invocation: Invocation) {
        self.invocation = invocation
        ignored = Signals.ignoredNow().subtracting([SIGCHLD])
        // The bytes as they came, valid UTF-8 or not.
        arguments = OwnWords.command(from: Invocation.firstArgument)
        machine = GuardMachine(continueSignal: SIGCONT)
        adoptsOrphans = ProcessTree.adoptOrphans()
        for descriptor in [invocation.control, invocation.report] {
            guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0 else { return nil }
        }
        _ = fcntl(invocation.control, F_SETFL, O_NONBLOCK)
        for number in Signals.deafTo { signal(number, SIG_IGN) }
        guard let ends = Spawn.pipe() else { return nil }
        for end in [ends.reading, ends.writing] { _ = fcntl(end, F_SETFL, O_NONBLOCK) }
        childSignal = ends.reading
        childSignalWriter = ends.writing
        signal(SIGCHLD, noteChild)
    }

    private mutating func run() {
        while !isOver {
            // Messages before the clock: if we were stopped, a renewal that waits in the pipe still counts.
            readMessages()
            reap()
            if machine.awaitsEmptyTree, isTreeEmpty { handle(.treeEmpty) }
            handle(.tick)
            if !isOver { wait() }
        }
    }

    private func wait() {
        var descriptors = [
            pollfd(fd: pipeIsOpen ? invocation.control : -1, events: Int16(POLLIN), revents: 0),
            pollfd(fd: childSignal, events: Int16(POLLIN), revents: 0),
        ]
        poll(&descriptors, 2, machine.pollTimeout(now: BootClock.now))
    }

    private mutating func readMessages() {
        var buffer = [UInt8](repeating: 0, count: 4096)
        while pipeIsOpen {
            let count = Platform.retrying { read(invocation.control, &buffer, buffer.count) }
            if count > 0 {
                for line in lines.append(buffer.prefix(count)) {
                    if let message = GuardMessage(line: line) { handle(.message(message)) }
                }
                continue
            }
            if count < 0, errno == EAGAIN { return }
            pipeIsOpen = false
            handle(.pipeClosed)
        }
    }

    private mutating func reap() {
        var buffer = [UInt8](repeating: 0, count: 64)
        while Platform.retrying({ read(childSignal, &buffer, buffer.count) }) > 0 {}
        while true {
            var raw: Int32 = 0
            let child = Platform.retrying { waitpid(-1, &raw, WNOHANG | WUNTRACED) }
            guard child > 0 else { return }
            guard child == pid else { continue }
            if let signal = WaitStatus(raw).stopSignal {
                handle(.childStopped(signal: signal))
            } else {
                pid = 0
                handle(.childEnded(status: raw))
            }
        }
    }

    private var isTreeEmpty: Bool {
        guard ProcessTree.isEmpty else { return false }
        return adoptsOrphans || group == 0 || (kill(-group, 0) == -1 && errno == ESRCH)
    }

    private mutating func handle(_ event: GuardMachine.Event) {
        for action in machine.handle(event, now: BootClock.now) {
            switch action {
            case .spawn(let fence): spawn(fence)
            case .signal(let number): signalCommand(number)
            case .signalOthers(let number): for other in others { kill(other.pid, number) }
            case .kill: killAll()
            case .report(let report): tell(report)
            case .reportSurvivors: reportSurvivors()
            case .exit: isOver = true
            }
        }
    }

    private mutating func spawn(_ fence: String) {
        let start = CommandStart(
            path: invocation.path, arguments: arguments,
            environment: Spawn.environment(overriding: ["MQLOCK_FENCE": fence]), processGroup: invocation.group,
            ignored: ignored)
        let result = start()
        guard result > 0 else { return handle(.spawnFailed(errno: -result)) }
        pid = result
        group = ownsGroup ? result : 0
        tell(.started(pid: result))
        releaseStandardDescriptors()
    }

    /// From here on the command's input and output are its own: their readers must not wait for us. Stderr too, because
    /// nobody reads a guard's messages.
    private func releaseStandardDescriptors() {
        let null = open("/dev/null", O_RDWR | O_CLOEXEC)
        guard null >= 0 else { return }
        for standard: Int32 in 0...2 { dup2(null, standard) }
        if null > 2 { close(null) }
    }

    // MARK: Signals

    private var ownsGroup: Bool { invocation.group == 0 }

    /// The processes that a signal to the command does not reach. Once the command is collected, its id may belong to
    /// another process, and its group's id too: then only the processes below us count.
    private var others: [ProcessTree.Member] {
        ProcessTree.members(below: getpid()).filter { ownsGroup ? $0.group != group : $0.pid != pid }
    }

    private func signalCommand(_ number: Int32) {
        guard pid > 0 else {
            let left = ProcessTree.members(below: getpid()).filter { group > 0 && $0.group == group }
            for member in left { kill(member.pid, number) }
            if !adoptsOrphans, group > 0 { kill(-group, number) }
            return
        }
        var isSent = kill(ownsGroup ? -group : pid, number) == 0
        // A group counts as signaled when any process in it is. CONT is allowed to all of a session.
        if isSent, number != SIGCONT { isSent = kill(pid, 0) == 0 }
        if !isSent, errno != ESRCH { tell(.undelivered(signal: number, errno: errno)) }
    }

    /// The group at once, in one call; then the processes that have left it.
    private mutating func killAll() {
        if pid > 0 {
            if ownsGroup { kill(-group, SIGKILL) }
            note(pid, kill(pid, SIGKILL))
        } else if !adoptsOrphans, group > 0 {
            kill(-group, SIGKILL)
        }
        for member in ProcessTree.members(below: getpid()) where !member.isZombie {
            note(member.pid, kill(member.pid, SIGKILL))
        }
    }

    private mutating func note(_ target: pid_t, _ result: Int32) {
        guard result == -1, errno != ESRCH else { return }
        let code = errno
        if survivors.insert(target).inserted { tell(.survivor(pid: target, errno: code)) }
    }

    private mutating func reportSurvivors() {
        let left = ProcessTree.members(below: getpid()).filter { !$0.isZombie }
        for member in left where survivors.insert(member.pid).inserted { tell(.survivor(pid: member.pid, errno: 0)) }
        if survivors.isEmpty { tell(.survivor(pid: 0, errno: 0)) }
    }

    private func tell(_ report: GuardReport) { Platform.writeAll(report.line.utf8, to: invocation.report) }
}

/// Where ``noteChild(_:)`` writes; a plain number, so the handler touches nothing that is initialized lazily.
nonisolated(unsafe) private var childSignalWriter: Int32 = -1

private func noteChild(_: Int32) {
    let saved = errno
    var byte: UInt8 = 0
    _ = write(childSignalWriter, &byte, 1)
    errno = saved
}
