import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// `mqlock elect`: connects the pieces and lends the main thread to the signals.
enum ElectCommand {
    static func run(_ options: ElectOptions, _ output: Output) throws(CommandFailure) -> Never {
        let own = OwnProcess()
        RunCommand.fillStandardDescriptors()

        let broker = try options.run.broker.resolveAny(environment: RunCommand.variable)
        let path = try CommandLookup.resolve(options.run.command[0], searchPath: RunCommand.variable("PATH"))
        let made = try BrokerElection.make(options.run, broker, output)

        let term = Locked<AsyncStream<RunMachine.Event>.Continuation?>(nil)
        let words = RunCommand.rawWords(options.run.command.count)
        let environment = RunCommand.environment(options.run, made.election.owner, mode: "leader")
        let start = StartGuard(
            path: path, words: words, environment: environment, options: options.run, ignored: own.ignored)
        var desk = SignalDesk()
        desk.quitsWhenOver = true
        let lockedDesk = Locked(desk)
        let session = ElectSession(
            options: options, election: made.election,
            start: { (onEvent) throws(CommandFailure) in try start(onEvent) }, term: term, desk: lockedDesk,
            reporter: made.reporter, remains: own.remains, shutDown: made.shutDown, leave: { leave($0) })
        let task = Task.detached { leave(await session.run()) }
        own.listen(foreground: options.run.foreground, lockedDesk) { action, isFromTerminal in
            switch action {
            case .none, .stop: break
            case .cancel: task.cancel()
            // The guard sees our pipe close.
            case .quit(let number): leave(ExitStatus.ended(bySignal: number))
            case .forward(let number):
                term.withLock { $0 }?.yield(isFromTerminal ? .terminalSignal(number) : .signal(number))
            }
        }
    }

    /// Starts a guard for each leadership. The words and the environment are made once, and live as long as the
    /// process.
    private struct StartGuard: @unchecked Sendable {
        let path: String
        let words: Spawn.CStrings
        let environment: Spawn.CStrings
        let options: RunOptions
        let ignored: Set<Int32>

        func callAsFunction(
            _ onEvent: @escaping @Sendable (RunMachine.Event) -> Void
        ) throws(CommandFailure) -> GuardLink {
            try GuardLink(
                path: path, arguments: words, environment: environment, options: options, ignored: ignored,
                onEvent: onEvent)
        }
    }
}
