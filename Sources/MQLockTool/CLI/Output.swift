/// Where all output of `mqlock` itself goes; tests replace it with their own.
struct Output: Sendable {
    var standardOutput: @Sendable (String) -> Void
    var standardError: @Sendable (String) -> Void

    /// The process's own. Unbuffered: a line is one write, so it does not mix with the lines of the command that shares
    /// these descriptors, and nothing is left to flush when we exit from another thread.
    static let process = Self(
        standardOutput: { Platform.writeAll($0.utf8, to: 1) },
        standardError: { Platform.writeAll($0.utf8, to: 2) })
}
