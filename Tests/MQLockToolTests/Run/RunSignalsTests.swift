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

#if os(Linux)
/// Every signal that can be sent to the built command while another runs under it.
@Suite("mqlock run, signals", .serialized, .timeLimit(.minutes(1)), .enabled(if: Broker.uri != nil, Broker.reason))
struct RunSignalsTests {
    private let name = "signals-\(UUID().uuidString)"

    private func start(_ options: [String] = [], _ command: [String], through: [String] = []) throws -> TestProcess {
        let words = through + [TestProcess.mqlock, "run", name, "--mutex", "token"] + options + ["--"] + command
        return try TestProcess(words[0], words, environment: ["MQLOCK_BROKER": try required(Broker.uri)])
    }

    @Test("all of them reach the command, and none ends mqlock or its guard", arguments: [[], ["--foreground"]])
    func passedOn(options: [String]) async throws {
        // It blocks them all, so that what has come stays to be seen.
        let script = """
            use POSIX;
            my $all = POSIX::SigSet->new; $all->fillset; POSIX::sigprocmask(POSIX::SIG_BLOCK, $all);
            syswrite STDOUT, "$$ " . getppid() . "\\n"; sleep 600 while 1
            """
        let process = try start(options, ["perl", "-e", script])
        let pids = try required(await process.output.line()).split(separator: " ").compactMap { pid_t($0) }
        for signal in Signals.forwarded {
            kill(pids[1], signal)
            process.send(signal)
            while try !pending(pids[0]).contains(signal) { try await Task.sleep(for: .milliseconds(2)) }
        }
        // Still under guard.
        process.send(SIGKILL)
        #expect(await process.output.line() == nil)
        #expect(await process.ended().signal == SIGKILL)
    }

    private func pending(_ pid: pid_t) throws -> Set<Int32> {
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        let line = try required(status.split(separator: "\n").first { $0.hasPrefix("ShdPnd:") })
        let mask = try required(UInt64(line.suffix(16), radix: 16))
        return Set((1...64).filter { mask & 1 << UInt64($0 - 1) != 0 })
    }

    @Test("a command that is stopped is told of, with the lock that it holds; an end reaches it all the same")
    func stopped() async throws {
        let process = try start([], ["sh", "-c", "kill -STOP $$; exec sleep 600"])
        let line = try required(await process.errors.line())
        #expect(line.contains("SIGSTOP"))
        #expect(line.contains(name))
        process.send(SIGTERM)
        #expect(await process.ended().exitStatus == 143)
    }

    @Test(
        "a command that reads the terminal in the background: the word is --foreground, and with it, it reads",
        .enabled(if: access("/usr/bin/script", X_OK) == 0, "needs script(1)"))
    func terminal() async throws {
        func run(_ options: String) throws -> TestProcess {
            let line =
                "'\(TestProcess.mqlock)' run \(name) --mutex token \(options) -- sh -c 'read line; echo got $line'"
            return try start(through: line)
        }
        func start(through line: String) throws -> TestProcess {
            // script(1) makes a terminal, which it types into what it reads itself.
            let words = ["sh", "-c", "{ echo typed; sleep 600; } | exec script -qefc \"$1\" /dev/null", "sh", line]
            return try TestProcess("/bin/sh", words, environment: ["MQLOCK_BROKER": try required(Broker.uri)])
        }
        let background = try run("")
        while let line = await background.output.line(), !line.contains("--foreground") {}
        kill(-background.pid, SIGKILL)
        _ = await background.ended()
        let foreground = try run("--foreground")
        while let line = await foreground.output.line(), !line.contains("got typed") {}
        kill(-foreground.pid, SIGKILL)
        _ = await foreground.ended()
    }
}
#endif
