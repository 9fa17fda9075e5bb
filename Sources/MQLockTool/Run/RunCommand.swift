import MQLock
import MQLockRabbitMQ

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// `mqlock run`: puts the pieces together and lends the main thread to the signals.
enum RunCommand {
    static func run(_ options: RunOptions, _ output: Output) throws(CommandFailure) -> Never {
        // First of all: a signal from here on is for us to judge. Every thread that starts later inherits the mask.
        let ignored = Signals.ignoredNow().subtracting([SIGCHLD])
        let heard = Signals.forwarded.filter { !ignored.contains($0) }
        var mask = Signals.set(heard)
        pthread_sigmask(SIG_BLOCK, &mask, nil)
        signal(SIGPIPE, SIG_IGN)

        var configuration = RabbitMQLocks.Configuration(
            uri: try options.broker.resolve(environment: Self.variable), mutex: options.mutex)
        if let owner = options.owner { configuration.owner = owner }
        // Somebody who says how long to wait means for the broker too.
        if case .within = options.patience {} else { configuration.startupTimeout = .seconds(30) }
        let path = try CommandLookup.resolve(options.command[0], searchPath: Self.variable("PATH"))
        let reporter = RunReporter(options, owner: configuration.owner, output: output)
        let provider: RabbitMQLocks
        do throws(LockError) {
            provider = try RabbitMQLocks(configuration, observer: reporter.wantsEvents ? reporter : nil)
        } catch {
            throw CommandFailure(status: ExitStatus.of(error), message: error.message, helpTopic: "run")
        }

        let (events, continuation) = AsyncStream.makeStream(of: RunMachine.Event.self)
        let link = try GuardLink(
            path: path, arguments: Self.rawWords(options.command.count),
            environment: Self.environment(options, configuration.owner),
            options: options, ignored: ignored, onEvent: { continuation.yield($0) })
        Self.fillStandardDescriptors()
        let desk = Locked(SignalDesk())
        let session = RunSession(
            options: options, provider: provider, link: link, events: events, continuation: continuation, desk: desk,
            reporter: reporter,
            whoHolds: { [configuration] limit in
                try? await RabbitMQInspector(configuration).holder(of: options.name, within: limit)
            }, shutDown: { await provider.shutdown(within: .seconds(1)) },
            leave: { exit($0) })
        let task = Task.detached { exit(await session.run()) }
        listen(heard, foreground: options.foreground, desk) { action in
            switch action {
            case .none: break
            case .cancel: task.cancel()
            // The guard sees our pipe close; nothing runs yet.
            case .quit(let number): exit(ExitStatus.ended(bySignal: number))
            case .forward(let number): continuation.yield(.signal(number))
            }
        }
    }

    /// Waits for signals until the process exits.
    static func listen(
        _ signals: [Int32], foreground: Bool, _ desk: Locked<SignalDesk>, _ act: (SignalDesk.Action) -> Void
    ) -> Never {
        var set = Signals.set(signals)
        // With everything ignored there is nothing to wait for.
        while signals.isEmpty { pause() }
        while true {
            guard let (number, fromTerminal) = next(&set) else { continue }
            let action = desk.withLock { $0.received(number) }
            // In the foreground the terminal has told the command too; not twice.
            if foreground, fromTerminal, case .forward = action { continue }
            // A command in a group of its own has another window size to care about: none.
            if !foreground, number == SIGWINCH { continue }
            act(action)
        }
    }

    private static func next(_ set: inout sigset_t) -> (number: Int32, fromTerminal: Bool)? {
        #if os(Linux)
        var info = siginfo_t()
        let number = sigwaitinfo(&set, &info)
        // Processes send with a code of 0 or less; what the kernel sends is above.
        return number > 0 ? (number, info.si_code > 0) : nil
        #else
        var number: Int32 = 0
        guard sigwait(&set, &number) == 0 else { return nil }
        return (number, [SIGINT, SIGQUIT, SIGWINCH].contains(number) && isatty(0) == 1)
        #endif
    }

    static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// The last words of ours, the command's, as they came, byte by byte: they need not be UTF-8.
    static func rawWords(_ last: Int) -> Spawn.CStrings { OwnWords.command(from: OwnWords.raw.count - last) }

    static func environment(
        _ options: RunOptions, _ owner: String, mode: String = "exclusive"
    ) -> Spawn.CStrings {
        var changes = ["MQLOCK_NAME": options.name.string, "MQLOCK_OWNER": owner, "MQLOCK_MODE": mode]
        guard !options.passesBroker else { return Spawn.environment(overriding: changes) }
        if let broker = Self.variable(BrokerSource.variable), BrokerSource.holdsSecret(broker) {
            // Not taken out: a program that then took its default would lock on another broker.
            changes[BrokerSource.variable] = BrokerSource.withheld
        }
        return Spawn.environment(overriding: changes, without: [ManagementAPI.variable])
    }

    /// Should one of them be closed, the broker's socket would get its number, and our messages with it. The guard
    /// has started by now, so the command still finds them closed.
    static func fillStandardDescriptors() {
        for standard: Int32 in 0...2 where fcntl(standard, F_GETFD) == -1 {
            _ = open("/dev/null", O_RDWR | O_CLOEXEC)
        }
    }
}
