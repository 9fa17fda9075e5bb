import Foundation
import MQLock
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The built command with words and surroundings that are not as usual.
@Suite("The command's own words", .timeLimit(.minutes(1)))
struct OwnWordsTests {
    private static let nobody = "amqp://127.0.0.1:1"

    /// The last word with the byte FF at its end.
    private func damaged(_ words: [String], _ rest: [String] = []) -> Spawn.CStrings {
        let word = strdup((words.last ?? "") + "\u{1}")
        word?[strlen(word!) - 1] = CChar(bitPattern: 0xFF)
        return Spawn.strings(["mqlock"] + words.dropLast()).dropLast() + [word] + Spawn.strings(rest)
    }

    @Test(
        "a word of ours that is no UTF-8 is refused: repaired, it would be another's name",
        arguments: [
            ["run", "job"], ["elect", "job"], ["show", "job"], ["observe", "job"], ["break", "job"], ["list", "job"],
            ["run", "--owner", "me"], ["fence", "check", "file"],
            ["fence", "check", "file", "--fence", "1", "--name", "n"],
            ["shards", "--owner", "me"], ["doctor", "--broker", "amqp://u:secret@h"], ["help"],
        ])
    func damagedWords(words: [String]) async throws {
        for rest in [[], ["--", "true"]] {
            let result = await (try TestProcess(TestProcess.mqlock, [], raw: damaged(words, rest))).result()
            #expect(result.status == 64)
            #expect(result.errors.contains("UTF-8"))
            #expect(!result.errors.contains("secret"))
        }
    }

    @Test(
        "the same of what is read from the environment",
        arguments: ["MQLOCK_NAME", "MQLOCK_BROKER", "MQLOCK_MANAGEMENT"])
    func damagedVariables(name: String) async throws {
        let script = "export \(name)=$(printf 'job\\377'); exec \"$0\" fence check /nonexistent/file --fence 1"
        let result = await (try TestProcess("/bin/sh", ["sh", "-c", script, TestProcess.mqlock])).result()
        #expect(result.status == 64)
        #expect(result.errors.contains("\(name) is no UTF-8"))
    }

    private static let faketime = (try? FileManager.default.contentsOfDirectory(atPath: "/usr/lib"))?
        .map { "/usr/lib/\($0)/faketime/libfaketime.so.1" }.first(where: FileManager.default.fileExists(atPath:))

    /// libfaketime moves the environment, and takes the words from Swift's library.
    @Test(
        "the words are there below a preloaded library, byte by byte",
        .enabled(if: faketime != nil, "needs the package libfaketime: brokers/install"))
    func preloaded() async throws {
        let environment = ["LD_PRELOAD": Self.faketime ?? "", "FAKETIME": "+2h", "FAKETIME_DONT_FAKE_MONOTONIC": "1"]
        for words in [["--version"], ["help", "run"], ["fence", "check", "", "--fence", "1"]] {
            let plain = await (try TestProcess(TestProcess.mqlock, ["mqlock"] + words)).result()
            let below = await (try TestProcess(TestProcess.mqlock, ["mqlock"] + words, environment: environment))
                .result()
            #expect((plain.status, plain.output, plain.errors) == (below.status, below.output, below.errors))
        }
        let raw = damaged(["run", "job"])
        let result = await (try TestProcess(TestProcess.mqlock, [], raw: raw, environment: environment)).result()
        #expect(result.status == 64 && result.errors.contains("UTF-8"))
    }

    @Test(
        "without /proc the words are there all the same, and what needs it says so before it begins",
        .enabled(if: canHideProc, "run as root, on Linux"))
    func withoutProc() async throws {
        func run(_ words: [String]) async throws -> TestProcess.Result {
            let script = "mount -t tmpfs none /proc && exec \"$0\" \"$@\""
            return await
                (try TestProcess("/usr/bin/unshare", ["unshare", "-m", "sh", "-c", script, TestProcess.mqlock] + words))
                .result()
        }
        #expect(try await run(["--version"]).output == "mqlock \(Mqlock.version)\n")
        #expect(try await run(["nonsense"]).errors.contains("unknown command 'nonsense'"))
        #expect(try await run([]).errors.contains("a command is needed"))
        let folder = NSTemporaryDirectory() + "mqlock-without-proc-\(UUID())"
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: false)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let fenced = try await run(
            ["fence", "check", "\(folder)/f", "--fence", "7", "--", "sh", "-c", "echo $1", "sh", "ran"])
        #expect((fenced.status, fenced.output) == (0, "ran\n"))
        for words in [["run", "x"], ["elect", "x"]] {
            let refused = try await run(words + ["--broker", Self.nobody, "--", "touch", "\(folder)/ran"])
            #expect(refused.status == 69 && refused.errors.contains("/proc is not mounted"))
        }
        #expect(access("\(folder)/ran", F_OK) != 0)
    }

    private static let canHideProc: Bool = {
        #if os(Linux)
        guard geteuid() == 0, access("/usr/bin/unshare", X_OK) == 0 else { return false }
        let spawn = Spawn(
            path: "/usr/bin/unshare",
            arguments: Spawn.strings(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /proc 2>/dev/null"]),
            environment: Spawn.environment(overriding: [:]))
        let pid = spawn()
        var status: Int32 = -1
        guard pid > 0, waitpid(pid, &status, 0) == pid else { return false }
        return status == 0
        #else
        return false
        #endif
    }()
}
