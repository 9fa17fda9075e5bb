import MQLock

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Reports events on stderr: as JSON, in words, or failures only.
struct RunReporter: Sendable {
    private enum Style { case quiet, words, json }

    private let style: Style
    private let isSilentWhenTaken: Bool
    let name: LockName
    let owner: String
    private let output: Output

    init(_ options: RunOptions, owner: String, output: Output) {
        style = options.json ? .json : options.verbose ? .words : .quiet
        isSilentWhenTaken = options.quiet
        name = options.name
        self.owner = owner
        self.output = output
    }

    /// Whether to report more than failures.
    var wantsEvents: Bool { style != .quiet }

    func waiting() { tell("waiting", "waiting for the lock \(name)") }

    func granted(_ token: FencingToken, waited: Duration) {
        tell("granted", "got the lock \(name), fencing token \(token), after \(waited.readable)") {
            // As text: most readers of JSON make a floating-point number of a number, and tokens need all 63 bits.
            $0.add("fence", token.description)
            $0.add("waited", waited)
        }
    }

    func started(pid: Int32) { tell("started", "the command runs as process \(pid)") { $0.add("pid", pid) } }

    func lost(_ reason: String) {
        tell("lost", "the lock \(name) is lost: \(reason); ending the command", always: true) {
            $0.add("reason", reason)
        }
    }

    func exited(_ status: WaitStatus) {
        let words = status.signal.map { "was ended by \(SignalName.text($0))" } ?? "ended with \(status.exitStatus)"
        tell("exited", "the command \(words)") {
            $0.add("status", status.exitStatus)
            $0.add("signal", status.signal.map(SignalName.text))
        }
    }

    func stopped(by signal: Int32, isForeground: Bool) {
        let name = SignalName.text(signal)
        let readsTerminal = [SIGTTIN, SIGTTOU].contains(signal) && !isForeground
        let hint =
            readsTerminal
            ? "it uses the terminal, which it can with --foreground only" : "SIGCONT to mqlock lets it go on"
        tell("stopped", "the command is stopped by \(name), and holds the lock \(self.name); \(hint)", always: true) {
            $0.add("signal", name)
        }
    }

    func undelivered(_ signal: Int32, errno code: Int32) {
        let (name, reason) = (SignalName.text(signal), Platform.message(code))
        tell("undelivered", "the command cannot be sent \(name): \(reason)", always: true) {
            $0.add("signal", name)
            $0.add("message", reason)
        }
    }

    func survivor(pid: Int32, errno code: Int32) {
        let who = pid == 0 ? "something that the command has started" : "process \(pid)"
        let reason =
            code == 0 ? "has been sent SIGKILL, and has not ended" : "cannot be killed: \(Platform.message(code))"
        tell("survivor", "\(who) \(reason)", always: true) {
            if pid != 0 { $0.add("pid", pid) }
            $0.add("message", reason)
        }
    }

    func released(held: Duration) {
        tell("released", "released the lock \(name) after \(held.readable)") { $0.add("held", held) }
    }

    /// Whether to report who holds the lock that we are waiting for.
    var wantsHolder: Bool { !isSilentWhenTaken }

    /// The lock was not acquired.
    /// - Parameter holder: the contender that says that it holds the lock.
    func taken(_ message: String, status: Int32, holder: LockContender?) {
        guard !isSilentWhenTaken else { return }
        let message = holder.map { "\(message); its holder: \(InspectionReport.describe($0))" } ?? message
        tell("failed", message, always: true) {
            $0.add("status", status)
            $0.add("message", message)
            $0.add("holder", holder?.owner)
        }
    }

    /// The job has been done for its period.
    func skipped(_ mark: DoneMark, status: Int32) {
        tell("skipped", "skipped: \(mark)") {
            $0.add("status", status)
            $0.add(mark)
        }
    }

    func marked(_ mark: DoneMark) { tell("marked", "marked as \(mark)") { $0.add(mark) } }

    func unmarked(_ error: LockError, status: Int32) {
        failed("the command has ended, and may be run again for its period: \(error.message)", status: status)
    }

    /// - Parameter isReported: whether a person has read the message already.
    func failed(_ message: String, status: Int32, isReported: Bool = false) {
        if isReported, style != .json { return }
        tell("failed", message, always: true) {
            $0.add("status", status)
            $0.add("message", message)
        }
    }

    /// Events of the provider beyond our own steps: the state of the session.
    func observed(_ event: LockEvent) {
        switch event.kind {
        case .suspect, .connected, .warning, .disconnected, .foreign:
            let reason = event.reason?.description
            let words = [event.kind.description, reason, event.detail].compactMap { $0 }.joined(separator: ": ")
            tell(event.kind.description, words) {
                $0.add("reason", reason)
                $0.add("message", event.detail)
            }
        default: break
        }
    }

    func tell(
        _ event: String, _ words: String, always: Bool = false, _ details: (inout JSONLine) -> Void = { _ in }
    ) {
        switch style {
        case .json:
            var line = JSONLine(event)
            line.add("name", name.string)
            line.add("owner", owner)
            details(&line)
            output.standardError(line.text)
        case .words: output.standardError("mqlock: \(words)\n")
        case .quiet: if always { output.standardError("mqlock: \(words)\n") }
        }
    }
}

extension RunReporter: LockObserver {
    func observe(_ event: LockEvent) { observed(event) }
}
