import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Finds the command before the lock is waited for, so that a slip of the pen is told at once and not after a night in
/// the line.
enum CommandLookup {
    /// What execvp(3) would run.
    /// - Parameter searchPath: `PATH`; unset means the system's default.
    static func resolve(_ command: String, searchPath: String?) throws(CommandFailure) -> String {
        let candidates: [String]
        if command.contains("/") {
            candidates = [command]
        } else {
            candidates = (searchPath ?? "/bin:/usr/bin").split(separator: ":", omittingEmptySubsequences: false)
                // An empty entry means the working directory.
                .map { $0.isEmpty ? "./\(command)" : "\($0)/\(command)" }
        }
        var found: (path: String, reason: String)?
        for candidate in candidates {
            switch check(candidate) {
            case .executable: return candidate
            case .not(let reason): found = found ?? (candidate, reason)
            case .missing: continue
            }
        }
        if let found { throw cannotExecute(found.path, found.reason) }
        throw notFound(command)
    }

    /// The failure that the guard met when it started the command.
    static func failure(_ command: String, errno code: Int32) -> CommandFailure {
        code == ENOENT ? notFound(command) : cannotExecute(command, Platform.message(code))
    }

    private enum Verdict {
        case executable, missing
        case not(String)
    }

    private static func check(_ path: String) -> Verdict {
        var status = stat()
        guard stat(path, &status) == 0 else {
            // Not to be allowed to look is not the same as not to be there.
            return errno == EACCES ? .not(Platform.message(EACCES)) : .missing
        }
        guard status.st_mode & S_IFMT == S_IFREG else { return .not("it is not a file") }
        guard access(path, X_OK) == 0 else { return .not(Platform.message(errno)) }
        return interpreterFault(path).map(Verdict.not) ?? .executable
    }

    /// What the kernel would say of a script only when the lock is held, and then as if the script were not there.
    private static func interpreterFault(_ path: String) -> String? {
        guard let interpreter = FileHead(path)?.interpreter, access(interpreter, X_OK) != 0 else { return nil }
        return "\(interpreter.escapedForDisplay), which its first line names: \(Platform.message(errno))"
    }

    private static func notFound(_ command: String) -> CommandFailure {
        CommandFailure(status: ExitStatus.notFound, message: "command not found: \(command.escapedForDisplay)")
    }

    private static func cannotExecute(_ path: String, _ reason: String) -> CommandFailure {
        CommandFailure(
            status: ExitStatus.cannotExecute, message: "cannot execute \(path.escapedForDisplay): \(reason)")
    }
}
