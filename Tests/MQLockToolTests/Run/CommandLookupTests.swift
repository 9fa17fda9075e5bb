import Foundation
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Every kind of file that may be called a command: as execvp(3) has it, and refused before the wait where that can be
/// known.
@Suite("Command lookup", .timeLimit(.minutes(1)))
struct CommandLookupTests {
    enum Fate: Equatable {
        case runs(String)
        /// Found out before the lock is waited for.
        case refused
        /// Found out by the kernel.
        case fails(Int32)
    }

    /// Texts for printf(1).
    private static let files: [(text: String, fate: Fate)] = [
        ("#!/bin/sh\\necho ran $1\\n", .runs("ran x\n")),
        ("#! /bin/sh -e\\necho ran $1\\n", .runs("ran x\n")),
        ("#!/bin/sh\\r\\necho ran\\n", .refused),
        ("echo ran $1\\n", .runs("ran x\n")),
        ("echo ran $1", .runs("ran x\n")),
        ("\\n\\necho ran $1\\n", .runs("ran x\n")),
        ("#!\\necho ran $1\\n", .runs("ran x\n")),
        ("# a comment\\necho ran $0\\n", .runs("ran $FILE\n")),
        ("", .runs("")),
        ("#!/nonexistent/interpreter\\necho ran\\n", .refused),
        ("#!/etc/passwd\\necho ran\\n", .refused),
        ("\\001\\000\\002\\n", .fails(ENOEXEC)),
        ("\\177ELF\\000\\000\\n", .fails(ENOEXEC)),
    ]

    @Test("any kind of file")
    func files() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-command-\(UUID())").path
        defer { for file in [path, "\(path).gate", "\(path).gate.lock"] { unlink(file) } }
        for (text, fate) in Self.files {
            // By a process of its own: a file that some child of ours still has open for writing cannot be executed.
            let writing = try TestProcess("/bin/sh", ["sh", "-c", "printf '\(text)' >'\(path)'; chmod 700 '\(path)'"])
            #expect(await writing.ended().exitStatus == 0)
            let failure: CommandFailure?
            do throws(CommandFailure) {
                _ = try CommandLookup.resolve(path, searchPath: nil)
                failure = nil
            } catch {
                failure = error
            }
            #expect((failure != nil) == (fate == .refused), "\(text)")
            if let failure {
                #expect(failure.status == 126, "\(text)")
                continue
            }
            let guardian = try GuardUnderTest([path, "x"])
            guardian.tell(.start(fence: "7", deadline: BootClock.after(.seconds(60))))
            let report = await guardian.report()
            switch fate {
            case .runs(let output):
                #expect(await guardian.process.output.rest() == output.replacing("$FILE", with: path), "\(text)")
                #expect(try await guardian.ending().status.exitStatus == 0, "\(text)")
                // So does the other part of the command that runs one.
                let gate = try await TestProcess.run([
                    "fence", "check", "\(path).gate", "--fence", "7", "--", path, "x",
                ])
                #expect(gate.output == output.replacing("$FILE", with: path), "\(text)")
            case .fails(let code): #expect(report == .failed(errno: code), "\(text)")
            case .refused: break
            }
        }
    }

    @Test("a file that may be executed and not read is the kernel's to judge")
    func unreadable() throws {
        #expect(FileHead("/nonexistent/file") == nil)
        #expect(try CommandLookup.resolve("sh", searchPath: "/nonexistent:/bin").hasSuffix("/sh"))
    }
}
