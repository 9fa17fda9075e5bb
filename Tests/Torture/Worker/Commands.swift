import Foundation
import MQLockLineReader

/// The lines of standard input. At its end the process ends, whatever it is doing.
final class Commands: Sendable {
    private let lines: AsyncStream<String>

    init() {
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        self.lines = lines
        Thread.detachNewThread {
            for line in LineReader() { continuation.yield(line) }
            exit(0)
        }
    }

    /// The next command; one task asks at a time.
    func next() async -> String? {
        var iterator = lines.makeAsyncIterator()
        return await iterator.next()
    }
}
