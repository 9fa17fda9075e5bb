/// The messages of `mqlock` to its guard, one line each, far shorter than what a pipe accepts in one piece. Instants
/// are ``BootClock`` nanoseconds.
enum GuardMessage: Equatable {
    /// Granted: run the command, which is covered by the proof up to `deadline`.
    case start(fence: String, deadline: Int64)
    /// The proof now lasts until this instant.
    case deadline(Int64)
    /// Pass a signal on.
    case signal(Int32)
    /// An end was requested, and the command was sent `signal`. When it has ended, what it leaves behind is ended too:
    /// `signal` at once, SIGKILL after `grace` nanoseconds at the latest.
    case ending(signal: Int32, grace: Int64)
    /// The lock is lost: `signal` now, SIGKILL at `killAt` at the latest.
    case lose(signal: Int32, killAt: Int64)

    var line: String {
        switch self {
        case .start(let fence, let deadline): "start \(fence) \(deadline)\n"
        case .deadline(let instant): "deadline \(instant)\n"
        case .signal(let signal): "signal \(signal)\n"
        case .ending(let signal, let grace): "ending \(signal) \(grace)\n"
        case .lose(let signal, let killAt): "lose \(signal) \(killAt)\n"
        }
    }

    init?(line: String) {
        let words = line.split(separator: " ").map(String.init)
        switch (words.first, words.count) {
        case ("start", 3):
            guard let deadline = Int64(words[2]) else { return nil }
            self = .start(fence: words[1], deadline: deadline)
        case ("deadline", 2):
            guard let instant = Int64(words[1]) else { return nil }
            self = .deadline(instant)
        case ("signal", 2):
            guard let signal = Int32(words[1]) else { return nil }
            self = .signal(signal)
        case ("ending", 3):
            guard let signal = Int32(words[1]), let grace = Int64(words[2]) else { return nil }
            self = .ending(signal: signal, grace: grace)
        case ("lose", 3):
            guard let signal = Int32(words[1]), let killAt = Int64(words[2]) else { return nil }
            self = .lose(signal: signal, killAt: killAt)
        default: return nil
        }
    }
}

/// The guard's reports to `mqlock`.
enum GuardReport: Equatable {
    /// Why the command has ended.
    enum Cause: String {
        /// It ended by itself, or by a signal that was not the guard's.
        case own
        /// The guard killed it because the proof was not renewed in time.
        case deadline
        /// The guard killed it because `mqlock` was gone.
        case orphaned
        /// It ended, or was killed, after ``GuardMessage/lose(signal:killAt:)``.
        case lost
    }

    case started(pid: Int32)
    /// It could not be executed.
    case failed(errno: Int32)
    /// The proof had run out before the command was started; it never ran.
    case expired
    /// - `status` is that of waitpid(2), `at` when the guard noticed. Processes that the command has started may still
    ///   run.
    case ended(status: Int32, at: Int64, cause: Cause)
    /// A signal has stopped the command, which keeps holding the lock.
    case stopped(signal: Int32)
    /// The command was not sent a signal: it belongs to another user by now.
    case undelivered(signal: Int32, errno: Int32)
    /// SIGKILL has been sent to all.
    case killing
    /// A process of the command that continues: SIGKILL is not permitted, or has not ended it (`errno` 0). `pid` is 0
    /// if not even the number is known.
    case survivor(pid: Int32, errno: Int32)
    /// The last report. The command and all that had to end with it have ended, or, if not `isComplete`, the proof has
    /// run out before the survivors have ended.
    case done(isComplete: Bool)

    var line: String {
        switch self {
        case .started(let pid): "started \(pid)\n"
        case .failed(let code): "failed \(code)\n"
        case .expired: "expired\n"
        case .ended(let status, let at, let cause): "ended \(status) \(at) \(cause.rawValue)\n"
        case .stopped(let signal): "stopped \(signal)\n"
        case .undelivered(let signal, let code): "undelivered \(signal) \(code)\n"
        case .killing: "killing\n"
        case .survivor(let pid, let code): "survivor \(pid) \(code)\n"
        case .done(let isComplete): "done \(isComplete)\n"
        }
    }

    init?(line: String) {
        let words = line.split(separator: " ").map(String.init)
        switch (words.first, words.count) {
        case ("started", 2):
            guard let pid = Int32(words[1]) else { return nil }
            self = .started(pid: pid)
        case ("failed", 2):
            guard let code = Int32(words[1]) else { return nil }
            self = .failed(errno: code)
        case ("expired", 1): self = .expired
        case ("killing", 1): self = .killing
        case ("done", 2):
            guard let isComplete = Bool(words[1]) else { return nil }
            self = .done(isComplete: isComplete)
        case ("stopped", 2):
            guard let signal = Int32(words[1]) else { return nil }
            self = .stopped(signal: signal)
        case ("undelivered", 3):
            guard let signal = Int32(words[1]), let code = Int32(words[2]) else { return nil }
            self = .undelivered(signal: signal, errno: code)
        case ("survivor", 3):
            guard let pid = Int32(words[1]), let code = Int32(words[2]) else { return nil }
            self = .survivor(pid: pid, errno: code)
        case ("ended", 4):
            guard let status = Int32(words[1]), let at = Int64(words[2]), let cause = Cause(rawValue: words[3]) else {
                return nil
            }
            self = .ended(status: status, at: at, cause: cause)
        default: return nil
        }
    }
}

/// Splits what comes through a pipe into lines.
struct LineBuffer {
    private var partial: [UInt8] = []

    mutating func append(_ bytes: some Sequence<UInt8>) -> [String] {
        var lines: [String] = []
        for byte in bytes {
            if byte == UInt8(ascii: "\n") {
                lines.append(String(decoding: partial, as: UTF8.self))
                partial = []
            } else {
                partial.append(byte)
            }
        }
        return lines
    }
}
