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

/// The built command as a user meets it, where no broker is needed.
@Suite("mqlock run, without a broker", .timeLimit(.minutes(1)))
struct RunCommandTests {
    private static let nobody = "amqp://127.0.0.1:1"

    @Test(
        "bad usage is 64, told on stderr, and nothing runs",
        arguments: [
            ["run"], ["run", "", "--mutex", "token", "--", "true"],
            ["run", String(repeating: "x", count: 201), "--mutex", "token", "--", "true"],
            ["run", "x", "--mutex", "token", "-w", "nonsense", "--", "true"],
            ["run", "x", "--mutex", "token", "--broker", "kafka://h", "--", "true"],
            ["run", "x", "--mutex", "token", "--broker", "http://h", "--", "true"],
            ["run", "x", "--mutex", "token", "--broker", "amqp://h:port", "--", "true"],
            ["run", "x", "--mutex", "token", "--broker-file", "/nonexistent", "--", "true"],
            ["guard"], ["guard", "0", "1", "0", "/bin/true", "true"], ["nonsense"],
        ])
    func usage(arguments: [String]) async throws {
        let result = try await TestProcess.run(arguments)
        #expect(result.status == 64)
        #expect(result.output.isEmpty)
        #expect(result.errors.hasPrefix("mqlock: "))
    }

    @Test("a command that is not there, or cannot be executed, is told before any wait")
    func commands() async throws {
        for (command, status) in [
            ("mqlock-no-such-command", Int32(127)), ("/nonexistent/x", 127), ("/etc/passwd", 126), ("/", 126),
        ] {
            let result = try await TestProcess.run([
                "run", "x", "--mutex", "token", "--broker", Self.nobody, "--", command,
            ])
            #expect(result.status == status)
        }
        let hidden = try await TestProcess.run(
            ["run", "x", "--mutex", "token", "--broker", Self.nobody, "--", "sh"], environment: ["PATH": "/nonexistent"]
        )
        #expect(hidden.status == 127)
    }

    @Test("nothing listens: 69 when the wait is over")
    func unreachable() async throws {
        let start = ContinuousClock.now
        let result = try await TestProcess.run([
            "run", "x", "--mutex", "token", "-w", "1s", "--broker", Self.nobody, "--", "true",
        ])
        #expect(result.status == 69)
        #expect(start.duration(to: .now) < .seconds(10))
    }

    @Test("a signal while waiting ends the wait with 128 + n", arguments: Signals.endingWaits.sorted())
    func signalled(signal: Int32) async throws {
        let process = try TestProcess(
            TestProcess.mqlock,
            ["mqlock", "run", "x", "-v", "--mutex", "token", "-w", "50s", "--broker", Self.nobody, "--", "true"])
        // Its first line says that it waits, and so that it listens.
        #expect(await process.errors.line() == "mqlock: waiting for the lock x")
        process.send(SIGUSR1)
        process.send(signal)
        #expect(await process.ended().exitStatus == 128 + signal)
    }

    @Test(
        "what a terminal stops processes with stops mqlock while it waits, and it goes on", arguments: Signals.stopping)
    func stopped(signal: Int32) async throws {
        let process = try TestProcess(
            TestProcess.mqlock,
            ["mqlock", "run", "x", "-v", "--mutex", "token", "-w", "50s", "--broker", Self.nobody, "--", "true"])
        #expect(await process.errors.line() == "mqlock: waiting for the lock x")
        process.send(signal)
        let pid = process.pid
        let status = await blocking(killing: pid) {
            var status: Int32 = 0
            _ = Platform.retrying { waitpid(pid, &status, WUNTRACED) }
            return WaitStatus(status)
        }
        #expect(status.stopSignal == SIGSTOP)
        process.send(SIGCONT)
        process.send(SIGTERM)
        #expect(await process.ended().exitStatus == 143)
    }

    @Test("help and version are for stdout and end with 0")
    func help() async throws {
        for arguments in [["--help"], ["-h"], ["help"], ["help", "run"], ["run", "--help"], ["completion", "fish"]] {
            let result = try await TestProcess.run(arguments)
            #expect(result.status == 0)
            #expect(result.errors.isEmpty)
            #expect(result.output.contains("mqlock"))
        }
        #expect(try await TestProcess.run(["--version"]).output == "mqlock \(Mqlock.version)\n")
    }
}
