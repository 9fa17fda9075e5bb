import MQLock
import MQLockRabbitMQ

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The options of `mqlock run`.
struct RunOptions: Equatable {
    /// How long to wait for a lock that is held.
    enum Patience: Equatable {
        case unlimited
        case none
        case within(Duration)
    }

    var name: LockName
    /// RabbitMQ's mutex, if one was chosen.
    var mutex: RabbitMQLocks.Mutex?
    var patience = Patience.unlimited
    var conflictStatus = ExitStatus.conflict
    /// The period for which the command runs only once.
    var once: Period?
    /// Whether a command that fails counts as done.
    var marksFailures = false
    /// The exit status when it has been done before.
    var skipStatus = ExitStatus.success
    var lossSignal = SIGTERM
    var killAfter: Duration?
    var foreground = false
    var owner: String?
    var info: String?
    var json = false
    var verbose = false
    /// Whether to say nothing about a lock that is held.
    var quiet = false
    /// Whether the command may know the broker's password.
    var passesBroker = false
    var broker = BrokerSource.environment
    var command: [String]
}

extension RunOptions {
    /// How long to wait for the broker's answer on what has been done; nil means as long as it takes.
    var patienceToLook: Duration? {
        switch patience {
        case .unlimited: nil
        case .none: OnceGate.patience
        case .within(let limit): limit
        }
    }

    /// - Parameter descriptor: that of `run`, or of another command that runs one and has no other options.
    init(_ words: ReadArguments, _ descriptor: CommandDescriptor = .run) throws(CommandFailure) {
        func usage(_ message: String) -> CommandFailure { .usage(message, descriptor.name) }

        guard let command = words.command, let program = command.first else {
            let example =
                words.operands.count > 1
                ? ": mqlock \(descriptor.name) NAME -- \(words.operands[1].escapedForDisplay) …" : ""
            throw usage("the command to run is needed, behind '--'\(example)")
        }
        guard !program.isEmpty else { throw usage("the command's name is empty") }
        guard let operand = words.operands.first else { throw usage("the lock's name is needed, before '--'") }
        guard words.operands.count == 1 else {
            throw usage("one lock name is needed, not also '\(words.operands[1].escapedForDisplay)'")
        }
        do throws(LockError) {
            name = try LockName(operand)
        } catch {
            throw usage(error.message)
        }
        mutex = try Self.mutex(words, descriptor)
        if let text = words.values[.wait] {
            guard !words.has(.nonblock) else { throw usage("-n and -w exclude each other") }
            let limit = try Self.duration(text, "-w", descriptor)
            // As in flock(1): a wait of zero means not to wait.
            patience = limit == .zero ? .none : .within(limit)
        } else if words.has(.nonblock) {
            patience = .none
        }
        if let status = try Self.status(words, .conflictStatus, "-E", descriptor) { conflictStatus = status }
        if let text = words.values[.once] {
            do throws(LockError) { once = try Period(text) } catch { throw usage("--once: \(error.message)") }
        }
        marksFailures = words.has(.markFailures)
        if let status = try Self.status(words, .skipStatus, "--skip-exit-code", descriptor) { skipStatus = status }
        guard once != nil || !(marksFailures || words.values[.skipStatus] != nil) else {
            throw usage("--mark-failures and --skip-exit-code go with --once PERIOD")
        }
        if let text = words.values[.signal] {
            guard let signal = SignalName.parse(text) else {
                throw usage(
                    "no signal is called '\(text.escapedForDisplay)'"
                        + Suggestion.phrase(for: text, among: SignalName.all.map(\.name)))
            }
            lossSignal = signal
        }
        if let text = words.values[.killAfter] { killAfter = try Self.duration(text, "-k", descriptor) }
        if let text = words.values[.owner] {
            guard !text.isEmpty, text.utf8.count <= 200 else { throw usage("--owner needs 1 to 200 bytes of text") }
            owner = text
        }
        if let text = words.values[.info] {
            guard Lease.canSay(text) else { throw usage("--info takes \(Lease.maximumInfo) bytes of text at most") }
            info = text
        }
        foreground = words.has(.foreground)
        json = words.has(.json)
        verbose = words.has(.verbose)
        quiet = words.has(.quiet)
        guard !quiet || !(verbose || json) else { throw usage("-q excludes -v and --json") }
        passesBroker = words.has(.passBroker)
        broker = try BrokerSource(words, descriptor)
        self.command = command
    }

    private static func duration(
        _ text: String, _ option: String, _ descriptor: CommandDescriptor
    ) throws(CommandFailure) -> Duration {
        guard let duration = DurationText.parse(text) else {
            throw .usage(
                "\(option) needs a duration such as \(DurationText.accepted), not '\(text.escapedForDisplay)'",
                descriptor.name)
        }
        return duration
    }

    private static func status(
        _ words: ReadArguments, _ key: OptionDescriptor.Key, _ option: String, _ descriptor: CommandDescriptor
    ) throws(CommandFailure) -> Int32? {
        guard let text = words.values[key] else { return nil }
        guard let status = Int32(text), (0...255).contains(status) else {
            throw .usage(
                "\(option) needs an exit status of 0 to 255, not '\(text.escapedForDisplay)'", descriptor.name)
        }
        return status
    }

    private static func mutex(
        _ words: ReadArguments, _ descriptor: CommandDescriptor
    ) throws(CommandFailure) -> RabbitMQLocks.Mutex? {
        switch words.values[.mutex] {
        case nil: return nil
        case "sac": return .singleActiveConsumer
        case "token": return .token
        case "exclusive": return .exclusiveQueue
        case let other?:
            throw .usage(
                "no mutex is called '\(other.escapedForDisplay)'; take --mutex sac, token or exclusive",
                descriptor.name)
        }
    }
}
