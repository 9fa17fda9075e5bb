#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Signals by the names that `kill -l` shows.
enum SignalName {
    static let all: [(name: String, number: Int32)] =
        [
            ("HUP", SIGHUP), ("INT", SIGINT), ("QUIT", SIGQUIT), ("ABRT", SIGABRT), ("KILL", SIGKILL),
            ("USR1", SIGUSR1),
            ("USR2", SIGUSR2), ("ALRM", SIGALRM), ("TERM", SIGTERM), ("CONT", SIGCONT), ("STOP", SIGSTOP),
            ("TSTP", SIGTSTP), ("WINCH", SIGWINCH), ("PIPE", SIGPIPE), ("SEGV", SIGSEGV), ("BUS", SIGBUS),
            ("FPE", SIGFPE),
            ("ILL", SIGILL), ("TRAP", SIGTRAP), ("XCPU", SIGXCPU), ("XFSZ", SIGXFSZ), ("TTIN", SIGTTIN),
            ("TTOU", SIGTTOU),
            ("VTALRM", SIGVTALRM), ("PROF", SIGPROF), ("IO", SIGIO), ("URG", SIGURG),
        ] + ofPlatform

    #if os(Linux)
    private static let ofPlatform = [("PWR", SIGPWR)]
    #else
    private static let ofPlatform: [(String, Int32)] = []
    #endif

    /// Reads `TERM`, `SIGTERM`, `term` or a number of 1 to 64.
    static func parse(_ text: String) -> Int32? {
        if let number = Int32(text) { return (1...64).contains(number) && !text.hasPrefix("+") ? number : nil }
        let upper = text.uppercased()
        let name = upper.hasPrefix("SIG") ? String(upper.dropFirst(3)) : upper
        return all.first { $0.name == name }?.number
    }

    /// `SIGTERM`, or `signal 40` for one that has no name here.
    static func text(_ number: Int32) -> String {
        all.first { $0.number == number }.map { "SIG\($0.name)" } ?? "signal \(number)"
    }
}
