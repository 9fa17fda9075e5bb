import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// `mqlock fence`: a file fence gate for shell scripts.
enum FenceCommand {
    static func run(_ options: FenceOptions, _ output: Output) throws(CommandFailure) -> Never {
        RunCommand.fillStandardDescriptors()
        // A limit on file sizes then causes an error, like a full disk, and not a silent death.
        let inherited = signal(SIGXFSZ, SIG_IGN)
        switch options.action {
        case .check: try check(options, output) { signal(SIGXFSZ, inherited) }
        case .show: try show(options, output)
        }
    }

    /// - Parameter restore: resets the command's signals to those that we were started with.
    private static func check(
        _ options: FenceOptions, _ output: Output, restore: () -> Void
    ) throws(CommandFailure) -> Never {
        let (token, name) = try options.presented(environment: RunCommand.variable)
        // Once stored, it would shut out every later holder.
        guard FencingNumbering.isPlausible(token, lead: options.lead, at: WallClock.now) else {
            let message = """
                the token \(token) is too far ahead of this machine's clock, \(WallClock.text(WallClock.now)): the clock is \
                wrong, or the token is made up; --lead none is for tokens that are not made from a clock
                """
            if options.json {
                var line = Self.line("failed", token, name)
                line.add("status", ExitStatus.usage)
                line.add("message", message)
                output.standardError(line.text)
                exit(ExitStatus.usage)
            }
            throw CommandFailure.usage(message, CommandDescriptor.fence.name)
        }
        // Before the token is stored: a command that cannot run should shut nobody out.
        var path: String?
        if let program = options.command.first {
            path = try CommandLookup.resolve(program, searchPath: RunCommand.variable("PATH"))
        }
        let entry: FenceEntry
        do throws(LockError) {
            entry = try FileFenceGate(path: options.file).enter(token, for: name) { marked throws(LockError) in
                try Self.refuseMixture(name, marked, options)
            }
        } catch {
            let status = error.code == .staleToken ? options.staleStatus : ExitStatus.of(error)
            if options.json {
                var line = Self.line(error.code == .staleToken ? "stale" : "failed", token, name)
                line.add("highest", error.refusal?.highest.description)
                line.add("status", status)
                line.add("message", error.description)
                output.standardError(line.text)
                exit(status)
            }
            throw CommandFailure(status: status, message: error.detailed, helpTopic: CommandDescriptor.fence.name)
        }
        if options.json { output.standardError(Self.line("admitted", token, name).text) }
        guard let path else {
            entry.close()
            exit(ExitStatus.success)
        }
        // The command replaces our process, and keeps the gate's lock: a kill of our process kills the command. As long
        // as the command, or what it has started, can write, no other command comes in. A parent that waits could die
        // without its child.
        _ = fcntl(entry.descriptor, F_SETFD, 0)
        let environment = Spawn.environment(overriding: [
            FenceOptions.Variable.fence: token.description, FenceOptions.Variable.name: name.string,
        ])
        restore()
        Execution.become(path, RunCommand.rawWords(options.command.count), environment)
        let code = errno
        entry.close()
        throw CommandLookup.failure(options.command[0], errno: code)
    }

    /// A file with and without names would compare tokens of different locks, and let a stale one pass.
    private static func refuseMixture(
        _ name: LockName, _ marked: [LockName], _ options: FenceOptions
    ) throws(LockError) {
        let named = marked.contains { $0 != FenceOptions.unnamed }
        if name == FenceOptions.unnamed, named {
            throw LockError(
                .incompatible,
                """
                \(options.file.escapedForDisplay) remembers tokens by the names of their locks: say which lock it is, \
                with --name or \(FenceOptions.Variable.name)
                """)
        }
        if name != FenceOptions.unnamed, marked.contains(FenceOptions.unnamed) {
            throw LockError(
                .incompatible,
                """
                \(options.file.escapedForDisplay) was used without a lock's name before and cannot compare the tokens \
                of \(name) with those: take another file
                """)
        }
    }

    private static func line(_ event: String, _ token: FencingToken, _ name: LockName) -> JSONLine {
        var line = JSONLine(event)
        line.add("name", name.string)
        line.add("fence", token.description)
        return line
    }

    private static func show(_ options: FenceOptions, _ output: Output) throws(CommandFailure) -> Never {
        // Looking would create a lock file where there is no gate yet.
        guard access(options.file, F_OK) == 0 || access(options.file + ".lock", F_OK) == 0 else {
            throw CommandFailure(
                status: ExitStatus.conflict,
                message: "\(options.file.escapedForDisplay) is not there: no token was checked there yet")
        }
        do throws(LockError) {
            let marks = try FileFenceGate(path: options.file).marks()
            for (name, token) in marks.sorted(by: { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }) {
                output.standardOutput(options.json ? line("mark", token, name).text : "\(token) \(name)\n")
            }
            exit(marks.isEmpty ? ExitStatus.conflict : ExitStatus.success)
        } catch {
            throw CommandFailure(status: ExitStatus.of(error), message: error.detailed)
        }
    }
}

extension LockError {
    /// The message with the system's own.
    fileprivate var detailed: String {
        underlying.map { "\(message) (\(String(describing: $0).escapedForDisplay))" } ?? message
    }
}
