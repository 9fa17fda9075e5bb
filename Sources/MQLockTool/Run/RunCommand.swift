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
        let own = OwnProcess()

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

        let once = try options.onceGate(provider)

        let (events, continuation) = AsyncStream.makeStream(of: RunMachine.Event.self)
        let link = try GuardLink(
            path: path, arguments: Self.rawWords(options.command.count),
            environment: Self.environment(options, configuration.owner, period: once?.occurrence.key),
            options: options, ignored: own.ignored, onEvent: { continuation.yield($0) })
        Self.fillStandardDescriptors()
        let desk = Locked(SignalDesk())
        let session = RunSession(
            options: options, provider: provider, link: link, events: events, continuation: continuation, desk: desk,
            reporter: reporter, remains: own.remains, once: once,
            whoHolds: { [configuration] limit in
                try? await RabbitMQInspector(configuration).holder(of: options.name, within: limit)
            }, shutDown: { await provider.shutdown(within: .seconds(1)) },
            leave: { exit($0) })
        let task = Task.detached { exit(await session.run()) }
        own.listen(foreground: options.foreground, desk) { action, isFromTerminal in
            switch action {
            case .none, .stop: break
            case .cancel: task.cancel()
            // The guard sees our pipe close; nothing runs yet.
            case .quit(let number): exit(ExitStatus.ended(bySignal: number))
            case .forward(let number): continuation.yield(isFromTerminal ? .terminalSignal(number) : .signal(number))
            }
        }
    }

    static func variable(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    /// The last words of ours, the command's, as they came, byte by byte: they need not be UTF-8.
    static func rawWords(_ last: Int) -> Spawn.CStrings { OwnWords.command(from: OwnWords.raw.count - last) }

    static func environment(
        _ options: RunOptions, _ owner: String, mode: String = "exclusive", period: String? = nil
    ) -> Spawn.CStrings {
        var changes = ["MQLOCK_NAME": options.name.string, "MQLOCK_OWNER": owner, "MQLOCK_MODE": mode]
        changes["MQLOCK_PERIOD"] = period
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

extension RunOptions {
    fileprivate func onceGate(_ provider: RabbitMQLocks) throws(CommandFailure) -> OnceGate? {
        guard let once else { return nil }
        do throws(LockError) {
            return OnceGate(
                name: name, occurrence: try Occurrence(once, at: provider.timeOfDay), marksFailures: marksFailures,
                keeper: provider)
        } catch {
            throw .usage("--once: \(error.message)", "run")
        }
    }
}
