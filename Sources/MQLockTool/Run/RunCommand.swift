import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// `mqlock run`: connects the pieces and lends the main thread to the signals.
enum RunCommand {
    static func run(_ options: RunOptions, _ output: Output) throws(CommandFailure) -> Never {
        let own = OwnProcess()

        let uri = try options.broker.resolveAny(environment: Self.variable)
        let path = try CommandLookup.resolve(options.command[0], searchPath: Self.variable("PATH"))
        let broker = try RunBroker(options, uri, output, for: "run")
        let once = try options.onceGate(broker.provider)

        let (events, continuation) = AsyncStream.makeStream(of: RunMachine.Event.self)
        let link = try GuardLink(
            path: path, arguments: Self.rawWords(options.command.count),
            environment: Self.environment(options, broker.reporter.owner, period: once?.occurrence.key),
            options: options, ignored: own.ignored, onEvent: { continuation.yield($0) })
        Self.fillStandardDescriptors()
        let desk = Locked(SignalDesk())
        let session = RunSession(
            options: options, provider: broker.provider, link: link, events: events, continuation: continuation,
            desk: desk, reporter: broker.reporter, remains: own.remains, once: once, whoHolds: broker.whoHolds,
            shutDown: broker.shutDown, leave: { leave($0) })
        let task = Task.detached { leave(await session.run()) }
        own.listen(foreground: options.foreground, desk) { action, isFromTerminal in
            switch action {
            case .none, .stop: break
            case .cancel: task.cancel()
            // The guard sees our pipe close; nothing runs yet.
            case .quit(let number): leave(ExitStatus.ended(bySignal: number))
            case .forward(let number): continuation.yield(isFromTerminal ? .terminalSignal(number) : .signal(number))
            }
        }
    }

    static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// The last of our words, which are the command's, byte by byte: they need not be UTF-8.
    static func rawWords(_ last: Int) -> Spawn.CStrings { OwnWords.command(from: OwnWords.raw.count - last) }

    static func environment(
        _ options: RunOptions, _ owner: String, mode: String = "exclusive", period: String? = nil
    ) -> Spawn.CStrings {
        var changes = ["MQLOCK_NAME": options.name.string, "MQLOCK_OWNER": owner, "MQLOCK_MODE": mode]
        changes["MQLOCK_PERIOD"] = period
        guard !options.passesBroker else { return Spawn.environment(overriding: changes) }
        if let broker = Self.variable(BrokerSource.variable), BrokerSource.holdsSecret(broker) {
            // Not removed: a program would then use its default, and lock on another broker.
            changes[BrokerSource.variable] = BrokerSource.withheld
        }
        return Spawn.environment(overriding: changes, without: [ManagementAPI.variable])
    }

    /// If one of them were closed, the broker's socket would get its number, and our messages with it. The guard has
    /// started by now, so the command still finds them closed.
    static func fillStandardDescriptors() {
        for standard: Int32 in 0...2 where fcntl(standard, F_GETFD) == -1 {
            _ = open("/dev/null", O_RDWR | O_CLOEXEC)
        }
    }
}

extension RunOptions {
    fileprivate func onceGate(_ provider: any LockProvider) throws(CommandFailure) -> OnceGate? {
        guard let once else { return nil }
        guard let keeper = provider as? any MarkKeeping else {
            throw .usage("--once: nothing is kept on this broker about what has been done", "run")
        }
        do throws(LockError) {
            return OnceGate(
                name: name, occurrence: try Occurrence(once, at: keeper.timeOfDay), marksFailures: marksFailures,
                keeper: keeper)
        } catch {
            throw .usage("--once: \(error.message)", "run")
        }
    }
}
