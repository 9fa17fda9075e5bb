#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// The few C library calls whose names clash with ours in Swift, and helpers for its conventions.
enum Platform {
    /// Repeats a call that a signal interrupted.
    static func retrying<Result: FixedWidthInteger>(_ call: () -> Result) -> Result {
        while true {
            let result = call()
            if result == -1, errno == EINTR { continue }
            return result
        }
    }

    static func message(_ code: Int32) -> String { String(cString: strerror(code)) }

    /// Checks that this process can use Swift's library Dispatch. On Linux that library looks at its threads in `/proc`
    /// once a second, and kills the process when they are not there. A program that waits for a broker would hold a
    /// lock for a second.
    static func requireProc() throws(CommandFailure) {
        #if os(Linux)
        guard access("/proc/self/stat", R_OK) != 0 else { return }
        throw CommandFailure(
            status: ExitStatus.unavailable,
            message: "/proc is not mounted, and Swift's runtime ends programs that run for long without it; mount it: "
                + "mount -t proc proc /proc")
        #endif
    }

    /// Writes everything or gives up: nobody reads a closed pipe.
    @discardableResult
    static func writeAll(_ bytes: some Collection<UInt8>, to descriptor: Int32) -> Bool {
        var rest = Array(bytes)[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { buffer in
                retrying { write(descriptor, buffer.baseAddress, buffer.count) }
            }
            guard written > 0 else { return false }
            rest = rest.dropFirst(written)
        }
        return true
    }
}
