import MQLock

#if canImport(Darwin)
import Foundation
#endif

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// The words that this program was started with, byte by byte, and its own file.
enum OwnWords {
    /// The program's name comes first; without the null pointer at the end.
    nonisolated(unsafe) static let raw: [UnsafeMutablePointer<CChar>] = {
        let words = (0..<Int(CommandLine.argc)).compactMap { CommandLine.unsafeArgv[$0] }
        #if os(Linux)
        // Swift's library reads them from /proc, which may be missing.
        if !words.isEmpty { return words }
        let below = onTheStack
        // A library that was loaded before us may have moved the environment.
        return below.isEmpty ? inProc : below
        #else
        return words
        #endif
    }()

    /// The words of a command after ours, with the null pointer that ends them. They need not be UTF-8.
    static func command(from first: Int) -> Spawn.CStrings { raw[min(first, raw.count)...].map { $0 } + [nil] }

    /// All words as text. The words of a command, after `--`, can be any bytes, and may be damaged here.
    /// - Throws: for a word or a variable of ours that is not UTF-8: repaired, two different lock names would become
    ///   one.
    static func text() throws(CommandFailure) -> [String] {
        for (index, word) in raw.enumerated() {
            if strcmp(word, "--") == 0 { break }
            guard String(validatingCString: word) != nil else {
                throw .usage("word \(index) of the command line is no UTF-8: \(shown(word))")
            }
        }
        for name in variables {
            guard let value = getenv(name), String(validatingCString: value) == nil else { continue }
            throw .usage("the value of \(name) is no UTF-8: \(shown(value))")
        }
        return raw.map { String(cString: $0) }
    }

    /// All variables that we read and whose bytes matter.
    private static let variables = [
        BrokerSource.variable, ManagementAPI.variable, FenceOptions.Variable.fence, FenceOptions.Variable.name,
    ]

    /// A URI is not shown: it may contain a password.
    private static func shown(_ value: UnsafePointer<CChar>) -> String {
        let text = String(cString: value)
        return text.contains("://") ? "a URI" : "'\(String(text.prefix(80)).escapedForDisplay)'"
    }

    #if os(Linux)
    private static var inProc: [UnsafeMutablePointer<CChar>] {
        let descriptor = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var bytes: [CChar] = []
        var part = [CChar](repeating: 0, count: 65536)
        while true {
            let count = Platform.retrying { read(descriptor, &part, part.count) }
            guard count > 0 else { break }
            bytes += part.prefix(count)
        }
        // Each ends with a null byte.
        return bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast().compactMap {
            strdup(Array($0) + [0])
        }
    }

    /// By the layout of a new process's stack, which the ABI of every processor defines: the number of words, the
    /// words, a null pointer, the environment. Right as long as nothing has changed the environment.
    private static var onTheStack: [UnsafeMutablePointer<CChar>] {
        let end = environ - 1
        guard end.pointee == nil else { return [] }
        for count in 0..<100_000 {
            let below = end - count - 1
            // A pointer is never that small.
            guard UInt(bitPattern: below.pointee) == UInt(count) else { continue }
            return (0..<count).compactMap { below[$0 + 1] }
        }
        return []
    }
    #endif

    /// This program's own file, even when the file has been replaced since.
    static var executable: String? {
        #if os(Linux)
        let own = "/proc/self/exe"
        return access(own, X_OK) == 0 ? own : nil
        #else
        return Bundle.main.executablePath
        #endif
    }
}
