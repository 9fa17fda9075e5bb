import MQLock

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Finds the command before waiting for the lock, so that a typo is reported at once and not after a night in line.
enum CommandLookup {
    /// The file that execvp(3) would run.
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

    /// The failure when the guard could not start the command.
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
            // Having no permission to look does not mean that the file does not exist.
            return errno == EACCES ? .not(Platform.message(EACCES)) : .missing
        }
        guard status.st_mode & S_IFMT == S_IFREG else { return .not("it is not a file") }
        guard access(path, X_OK) == 0 else { return .not(Platform.message(errno)) }
        return interpreterFault(path).map(Verdict.not) ?? .executable
    }

    /// What the kernel would say of a script only once the lock is held, and then as if the script did not exist.
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
