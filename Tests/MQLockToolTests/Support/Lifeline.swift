@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A pipe that a command far down the line opens by its path: what it writes are lines, and its death is their end,
/// whatever else the processes between share.
final class Lifeline: Sendable {
    private let reader: PipeReader
    private let writing: Int32

    init() throws {
        let pipe = try required(Spawn.pipe())
        (reader, writing) = (PipeReader(pipe.reading), pipe.writing)
    }

    /// Start of a script whose descriptor 9 is this pipe, in the shell and all that it starts.
    var opening: String { "exec 9>/proc/\(getpid())/fd/\(writing); " }

    func line() async -> String? { await reader.line() }

    /// Gives up our own end, so that the end can come. To be called once, after the command's first line.
    func letGo() { close(writing) }
}
