import Foundation
import MQLock
import Testing

@testable import MQLockTool

/// The built command as a script meets it.
@Suite("mqlock fence", .timeLimit(.minutes(1))) final class FenceCommandTests {
    private let folder: String
    private var file: String { "\(folder)/ledger.fence" }

    init() throws {
        folder = NSTemporaryDirectory() + "mqlock-fence-command-\(UUID())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    private func check(_ token: UInt64, _ rest: String..., name: String = "job") async throws -> TestProcess.Result {
        try await TestProcess.run(
            ["fence", "check", file] + rest, environment: ["MQLOCK_FENCE": "\(token)", "MQLOCK_NAME": name])
    }

    private var highest: UInt64? {
        get throws { try FileFenceGate(path: file).highest(for: "job")?.rawValue }
    }

    @Test("a token is admitted, remembered, and refused once a larger one was here")
    func check() async throws {
        for (token, status) in [(7, Int32(0)), (7, 0), (9, 0), (8, 65), (9, 0)] {
            let result = try await check(UInt64(token))
            #expect(result.status == status)
            #expect(result.output == "")
            #expect(result.errors.isEmpty == (status == 0))
        }
        #expect(try await check(1, name: "other").status == 0)
        #expect(try await check(8, "-E", "3").status == 3)
        #expect(try await TestProcess.run(["fence", "show", file]).output == "9 job\n1 other\n")
        let told = try await check(8, "--json").errors
        #expect(told.contains(#""event":"stale""#) && told.contains(#""highest":"9""#) && told.hasSuffix("}\n"))
    }

    @Test("a command runs behind the gate, with its own status, and not at all when the token is stale")
    func command() async throws {
        let script = "echo $MQLOCK_NAME $MQLOCK_FENCE; exit 42"
        let result = try await check(7, "--fence", "8", "--", "sh", "-c", script)
        #expect((result.status, result.output, result.errors) == (42, "job 8\n", ""))
        let stale = try await check(7, "--", "sh", "-c", "echo ran")
        #expect((stale.status, stale.output) == (65, ""))
        #expect(try await check(8, "--", "sh", "-c", "kill -TERM $$").status == 128 + SIGTERM)
    }

    @Test("words of the command go through byte by byte, and its input and signals are those of mqlock")
    func untouched() async throws {
        let script = "printf '%s' \"$1\" | od -An -tx1; ulimit -f 1; dd if=/dev/zero bs=1024 count=9 >big 2>/dev/null"
        let words = Spawn.strings(["mqlock", "fence", "check", file, "--fence", "1", "--", "sh", "-c"])
        let (text, byte) = (strdup("cd '\(folder)'; \(script)"), strdup("\u{1}"))
        byte?.pointee = CChar(bitPattern: 0xFF)
        let raw: Spawn.CStrings = words.dropLast() + [text, strdup("sh"), byte, nil]
        let result = await (try TestProcess(TestProcess.mqlock, [], raw: raw)).result()
        #expect(result.output == " ff\n")
        // We ignore the signal of a file that grows too large; the command does not.
        #expect(result.status == 128 + SIGXFSZ)
    }

    @Test("a command that cannot run is told before its token shuts anybody out")
    func noCommand() async throws {
        #expect(try await check(7).status == 0)
        #expect(try await check(9, "--", "mqlock-no-such-command").status == 127)
        #expect(try await check(9, "--", "/etc/passwd").status == 126)
        #expect(try highest == 7)
    }

    @Test("a token that no clock can have made is refused, and shuts nobody out")
    func farAhead() async throws {
        let now = FencingNumbering.last(at: WallClock.now)
        let day = FencingNumbering.last(at: WallClock.now + 24 * 3600 * 1000)
        for token in [day + 1 << 40, FencingToken.maximum] {
            let result = try await check(token, "--", "sh", "-c", "echo ran")
            #expect((result.status, result.output) == (64, ""))
            #expect(result.errors.contains("ahead of this machine's clock"))
            let told = try await check(token, "--json").errors
            #expect(told.contains(#""event":"failed""#) && told.contains(#""status":64"#))
            #expect(!FileManager.default.fileExists(atPath: file))
        }
        #expect(try await check(now).status == 0)
        #expect(try await check(day - 1 << 40).status == 0)
        #expect(try await check(day - 1 << 40, "--lead", "1h").status == 64)
        #expect(try await check(FencingToken.maximum, "--lead", "none").status == 0)
        #expect(try highest == FencingToken.maximum)
    }

    @Test("what is no fence file is left alone, and is told")
    func badFiles() async throws {
        func fence(_ path: String, _ action: String = "check") async throws -> TestProcess.Result {
            try await TestProcess.run(["fence", action, path] + (action == "check" ? ["--fence", "7"] : []))
        }
        for path in ["\(folder)/no/such", folder, "/dev/full", "\(folder)/text", "\(folder)/empty", "\(folder)/link"] {
            if path.hasSuffix("text") { try Data("some text\n".utf8).write(to: URL(fileURLWithPath: path)) }
            if path.hasSuffix("empty") { try Data().write(to: URL(fileURLWithPath: path)) }
            if path.hasSuffix("link") { symlink("/etc/passwd", path) }
            let before = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
            let content = FileManager.default.contents(atPath: path)
            for action in ["check", "show"] where !(path.hasSuffix("such") && action == "show") {
                let result = try await fence(path, action)
                #expect(result.status == 74, "\(path) \(result.errors)")
                #expect(result.errors.hasPrefix("mqlock: "))
                #expect(result.output == "")
            }
            if path != "/dev/full" { #expect(FileManager.default.contents(atPath: path) == content) }
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == before)
            #expect(!FileManager.default.fileExists(atPath: path + ".lock"))
        }
        #expect(try await fence("\(folder)/none", "show").status == 1)
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/none.lock"))
    }

    @Test("damage, a lost file, no permission: nothing is admitted, nothing is changed")
    func damage() async throws {
        #expect(try await check(7).status == 0)
        let url = URL(fileURLWithPath: file)
        let good = try Data(contentsOf: url)
        try (good + Data("x".utf8)).write(to: url)
        #expect(try await check(9, "--", "sh", "-c", "echo ran").output == "")
        #expect(try await check(9).status == 74)
        #expect(try Data(contentsOf: url) == good + Data("x".utf8))
        unlink(file)
        #expect(try await check(9).status == 74)
        try good.write(to: url)
        #expect(try highest == 7)
        guard geteuid() != 0 else { return }
        chmod(folder, 0o500)
        defer { chmod(folder, 0o700) }
        #expect(try await check(9).status == 77)
    }

    @Test("no room: an error, no death, and the old mark stands", arguments: ["", "trap '' XFSZ; "])
    func full(trap: String) async throws {
        #expect(try await check(7).status == 0)
        let script = "\(trap)ulimit -f 0; exec \"$0\" fence check \"$1\" --fence 9 --name job -- sh -c 'echo ran'"
        let process = try TestProcess("/bin/sh", ["sh", "-c", script, TestProcess.mqlock, file])
        let result = await process.result()
        #expect((result.status, result.output) == (74, ""))
        #expect(result.errors.hasPrefix("mqlock: "))
        #expect(try highest == 7)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder).sorted() == [
                "ledger.fence", "ledger.fence.lock",
            ])
    }

    @Test("a file is for named locks or for one without a name, never for both")
    func mixture() async throws {
        func unnamed(_ path: String) async throws -> Int32 {
            try await TestProcess.run(["fence", "check", path, "--fence", "9"]).status
        }
        #expect(try await check(7).status == 0)
        #expect(try await unnamed(file) == 78)
        #expect(try await unnamed("\(folder)/other") == 0)
        #expect(try await unnamed("\(folder)/other") == 0)
        let named = ["fence", "check", "\(folder)/other", "--fence", "10", "--name", "job"]
        #expect(try await TestProcess.run(named).status == 78)
        #expect(try highest == 7)
    }

    @Test("the gate stays closed while the command runs, and as long as what it started runs; a kill opens it")
    func closed() async throws {
        // Starts another in the background and is killed; that one ends when its input does.
        let lifeline = try required(Spawn.pipe())
        let script =
            "exec 9<&\(lifeline.reading); (cat <&9 >/dev/null; echo written >>'\(folder)/order') & echo in; cat <&9"
        let holder = try TestProcess(
            TestProcess.mqlock,
            ["mqlock", "fence", "check", file, "--fence", "7", "--name", "job", "--", "bash", "-c", script],
            inherited: [lifeline.reading])
        close(lifeline.reading)
        #expect(await holder.output.line() == "in")
        let next = try TestProcess(
            TestProcess.mqlock,
            [
                "mqlock", "fence", "check", file, "--fence", "8", "--name", "job", "--", "sh", "-c",
                "echo next >>'\(folder)/order'",
            ])
        holder.send(SIGKILL)
        _ = await holder.ended()
        // The shell is gone, what it started is not: it may still write.
        try await Task.sleep(for: .milliseconds(100))
        #expect(!FileManager.default.fileExists(atPath: "\(folder)/order"))
        close(lifeline.writing)
        #expect(await next.ended().exitStatus == 0)
        #expect(try String(contentsOfFile: "\(folder)/order", encoding: .utf8) == "written\nnext\n")
    }

    @Test("eight scripts at once, new tokens and old: no line comes after one of a larger token")
    func ordered() async throws {
        let script = """
            for i in 1 2 3; do
                "$0" fence check "$1" --name job --fence $((i * 10 + $2)) -- \
                    sh -c 'echo $MQLOCK_FENCE >>"$0"' "$3" 2>/dev/null || [ $? = 65 ] || echo bad
            done
            """
        let lines = "\(folder)/lines"
        try await withThrowingTaskGroup(of: String.self) { group in
            for writer in 0..<8 {
                group.addTask { [file] in
                    let words = ["sh", "-c", script, TestProcess.mqlock, file, "\(writer)", lines]
                    return await (try TestProcess("/bin/sh", words)).result().output
                }
            }
            for try await output in group { #expect(output == "") }
        }
        let tokens = try String(contentsOfFile: lines, encoding: .utf8).split(separator: "\n").compactMap { UInt64($0) }
        #expect(tokens == tokens.sorted())
        #expect(tokens.count >= 3)
        #expect(try highest == tokens.last)
    }
}
