#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// Leads from the synchronous entry of the command into tasks.
enum AsyncMain {
    /// Runs `body` to its end and exits with its status; the main thread only waits.
    static func run(_ body: @escaping @Sendable () async -> Int32) -> Never {
        Task.detached { leave(await body()) }
        while true { pause() }
    }
}
