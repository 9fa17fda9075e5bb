import Foundation
import MQLockLineReader
import Testing

@testable import MQLockTool

@Suite("Lines of a descriptor", .timeLimit(.minutes(1))) struct LineReaderTests {
    /// The lines of what is written, in these pieces and whenever there is room.
    private func lines(of pieces: [String]) async throws -> [String] {
        let pipe = try required(Spawn.pipe())
        async let written: Void = blocking {
            for piece in pieces { Platform.writeAll(piece.utf8, to: pipe.writing) }
            close(pipe.writing)
        }
        let lines = await blocking { Array(LineReader(pipe.reading)) }
        await written
        close(pipe.reading)
        return lines
    }

    @Test(arguments: [
        (["go\nquit\n"], ["go", "quit"]),
        (["go\nqu"], ["go", "qu"]),
        (["\n\na\n\n"], ["", "", "a", ""]),
        (["n", "ai", "\u{308}ve\r\n", "\0\n"], ["nai\u{308}ve\r", "\0"]),
        ([], []),
    ])
    func linesAreSplitAtTheirEnds(_ pieces: [String], _ expected: [String]) async throws {
        #expect(try await lines(of: pieces) == expected)
        // However it is cut, also inside a character.
        let joined = pieces.joined()
        let pipe = try required(Spawn.pipe())
        defer { close(pipe.reading) }
        for byte in joined.utf8 { Platform.writeAll([byte], to: pipe.writing) }
        close(pipe.writing)
        #expect(Array(LineReader(pipe.reading)) == expected)
    }

    @Test func longLines() async throws {
        let lengths = [0, 1, 16383, 16384, 16385, 3_000_000, 2]
        let text = lengths.map { String(repeating: "x", count: $0) }
        #expect(try await lines(of: text.map { "\($0)\n" }).map(\.count) == lengths)
        #expect(try await lines(of: text).map(\.count) == [lengths.reduce(0, +)])
    }

    /// A line is not held back until there are more, or until the end.
    @Test func aLineComesAtOnce() async throws {
        let (there, back) = (try required(Spawn.pipe()), try required(Spawn.pipe()))
        async let echoed: Void = blocking {
            for line in LineReader(there.reading) { Platform.writeAll("\(line)!\n".utf8, to: back.writing) }
            close(back.writing)
        }
        let answers = PipeReader(back.reading)
        for line in ["one", "two"] {
            Platform.writeAll("\(line)\nha".utf8, to: there.writing)
            #expect(await answers.line() == (line == "one" ? "one!" : "hatwo!"))
        }
        close(there.writing)
        #expect(await answers.line() == "ha!")
        #expect(await answers.line() == nil)
        await echoed
        close(there.reading)
    }

    /// A descriptor is shared with other processes, and any of them can make it one that does not block.
    @Test func whatDoesNotBlockIsWaitedFor() async throws {
        let pipe = try required(Spawn.pipe())
        _ = fcntl(pipe.reading, F_SETFL, O_NONBLOCK)
        async let lines = blocking { Array(LineReader(pipe.reading)) }
        // It most likely waits by now; when not, the test is easier, not wrong.
        await Task.yield()
        for piece in ["a", "b\nc", "\n"] { Platform.writeAll(piece.utf8, to: pipe.writing) }
        close(pipe.writing)
        #expect(await lines == ["ab", "c"])
        close(pipe.reading)
    }

    @Test func whatCannotBeReadHasEnded() throws {
        #expect(Array(LineReader(-1)).isEmpty)
    }
}
