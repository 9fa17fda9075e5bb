#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// execve(2), with execvp(3)'s rule for scripts.
enum Execution {
    private static let shell = "/bin/sh"

    /// Returns only when this process could not become that program, with `errno`.
    static func become(_ path: String, _ arguments: Spawn.CStrings, _ environment: Spawn.CStrings) {
        execve(path, arguments, environment)
        guard errno == ENOEXEC else { return }
        // A text without '#!' is a shell script, as for flock(1), timeout(1) and nohup(1).
        if FileHead(path)?.isText == true {
            execve(shell, [strdup(shell), strdup(path)] + arguments.dropFirst(), environment)
        }
        errno = ENOEXEC
    }
}
