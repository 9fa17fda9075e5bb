import MQLock
import Testing

@testable import MQLockTool

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

/// The guard as a process. Death is seen as the end of the pipe that the command holds as its stdout.
@Suite("Guard process", .timeLimit(.minutes(1)))
struct GuardProcessTests {
    private let sleeper = ["/bin/sh", "-c", "echo ready; exec sleep 600"]

    @Test("the pipe closes: the command dies at once")
    func pipeClosed() async throws {
        let guardian = try GuardUnderTest(sleeper)
        _ = try await guardian.start()
        #expect(await guardian.process.output.line() == "ready")
        let closed = ContinuousClock.now
        guardian.closePipe()
        #expect(await guardian.process.output.line() == nil)
        // 100 ms is the promise; the machine may be busy with other tests.
        #expect(closed.duration(to: .now) < .seconds(1))
        let end = try await guardian.ending()
        #expect(end.cause == .orphaned)
        #expect(end.status.signal == SIGKILL)
        #expect(await guardian.process.ended().exitStatus == 0)
    }

    @Test("no newer deadline: the command dies at the deadline, its children too")
    func deadlinePasses() async throws {
        let guardian = try GuardUnderTest(["/bin/sh", "-c", "trap '' TERM; sleep 600 & echo ready; wait"])
        let start = BootClock.now
        _ = try await guardian.start(proof: .milliseconds(700))
        #expect(await guardian.process.output.line() == "ready")
        #expect(await guardian.process.output.line() == nil)
        #expect(BootClock.now - start >= 700_000_000)
        let end = try await guardian.ending()
        #expect(end.cause == .deadline)
        #expect(end.at - start < 3_000_000_000)
    }

    @Test("renewed deadlines keep the command alive")
    func renewals() async throws {
        // Proofs that outlast a busy machine's hiccups, and a command that outlasts the proofs.
        let long = try GuardUnderTest(["/bin/sh", "-c", "sleep 11; echo lived"])
        _ = try await long.start(proof: .seconds(10))
        let renewing = Task {
            while !Task.isCancelled {
                long.tell(.deadline(BootClock.after(.seconds(10))))
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        #expect(await long.process.output.rest() == "lived\n")
        renewing.cancel()
        let end = try await long.ending()
        #expect(end.cause == .own)
        #expect(end.status == WaitStatus(0))
    }

    @Test(
        "the command's end is reported, and the guard ends too",
        arguments: [("exit 7", Int32(7)), ("exit 0", 0), ("kill -9 $$", 137), ("kill -TERM $$", 143)])
    func ends(script: String, status: Int32) async throws {
        let guardian = try GuardUnderTest(["/bin/sh", "-c", script])
        _ = try await guardian.start()
        let end = try await guardian.ending()
        #expect(end.cause == .own)
        #expect(end.status.exitStatus == status)
        #expect(await guardian.report() == .done(isComplete: true))
        #expect(await guardian.report() == nil)
        #expect(await guardian.process.ended().exitStatus == 0)
    }

    @Test("the command has none of the guard's descriptors")
    func descriptors() async throws {
        let guardian = try GuardUnderTest(["/bin/sh", "-c", "ls -l /proc/self/fd"])
        _ = try await guardian.start()
        let listing = await guardian.process.output.rest()
        #expect(listing.contains("pipe:["))
        for pipe in guardian.pipes { #expect(!listing.contains(pipe)) }
    }

    @Test("the command starts with no signal blocked and none ignored")
    func dispositions() async throws {
        let guardian = try GuardUnderTest(["/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"])
        _ = try await guardian.start()
        let masks = await guardian.process.output.rest().split(separator: "\n").map { UInt64($0.suffix(16), radix: 16) }
        #expect(masks == [0, 0])
    }

    @Test("the fence of the start message replaces an outer one; the group is the command's own")
    func environment() async throws {
        let guardian = try GuardUnderTest(["/bin/sh", "-c", "echo $MQLOCK_FENCE; ps -o pgid= -p $$"])
        let pid = try await guardian.start(fence: "4711")
        let lines = await guardian.process.output.rest().split(whereSeparator: \.isWhitespace)
        #expect(lines == ["4711", Substring(String(pid))])
    }

    @Test("arguments that are not UTF-8 arrive byte by byte")
    func bytes() async throws {
        let odd = [UInt8(0xff), 0x41, 0xc3, 0].withUnsafeBytes {
            strdup($0.assumingMemoryBound(to: CChar.self).baseAddress!)
        }
        let guardian = try GuardUnderTest(["/usr/bin/printf", "%s"], raw: [odd])
        _ = try await guardian.start()
        #expect(await guardian.process.output.restBytes() == [0xff, 0x41, 0xc3])
    }

    @Test("a file that cannot be executed is reported with the error number")
    func notExecuted() async throws {
        for (path, code) in [("/nonexistent/command", ENOENT), ("/etc/passwd", EACCES)] {
            let guardian = try GuardUnderTest([path])
            guardian.tell(.start(fence: "1", deadline: BootClock.after(.seconds(60))))
            #expect(await guardian.report() == .failed(errno: code))
            #expect(await guardian.process.ended().exitStatus == 0)
        }
    }

    @Test("a proof that has run out starts nothing")
    func expired() async throws {
        let guardian = try GuardUnderTest(["/bin/echo", "ran"])
        guardian.tell(.start(fence: "1", deadline: BootClock.now))
        #expect(await guardian.report() == .expired)
        #expect(await guardian.process.output.rest().isEmpty)
    }

    @Test("a guard whose pipe closes before the start just ends")
    func neverStarted() async throws {
        let guardian = try GuardUnderTest(["/bin/echo", "ran"])
        guardian.closePipe()
        #expect(await guardian.process.output.rest().isEmpty)
        #expect(await guardian.process.ended().exitStatus == 0)
    }

    @Test("what the command leaves in the background on a normal end is let be")
    func background() async throws {
        let guardian = try GuardUnderTest(["/bin/sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!"])
        _ = try await guardian.start()
        let child = try required((await guardian.process.output.line()).flatMap { pid_t($0) })
        _ = await guardian.process.ended()
        #expect(kill(child, 0) == 0)
        kill(child, SIGKILL)
    }

    @Test("no signal that can be sent in passing ends the guard")
    func deaf() async throws {
        let guardian = try GuardUnderTest([
            "/bin/sh", "-c", "trap 'exit 5' USR1; echo ready; while :; do sleep 0.05; done",
        ])
        _ = try await guardian.start()
        #expect(await guardian.process.output.line() == "ready")
        for signal in Signals.forwarded + [SIGPIPE, SIGXFSZ, SIGCHLD] { guardian.process.send(signal) }
        guardian.tell(.signal(SIGUSR1))
        let end = try await guardian.ending()
        #expect(end.cause == .own)
        #expect(end.status.exitStatus == 5)
    }

    @Test("a command that is stopped is reported", arguments: [SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU])
    func commandStopped(signal: Int32) async throws {
        let guardian = try GuardUnderTest(["/bin/sh", "-c", "kill -\(signal) $$; exit 3"])
        _ = try await guardian.start()
        #expect(await guardian.report() == .stopped(signal: signal))
        guardian.tell(.signal(SIGCONT))
        #expect(try await guardian.ending().status.exitStatus == 3)
    }

    @Test("stopped and continued, the guard first reads what it missed")
    func guardStopped() async throws {
        let guardian = try GuardUnderTest([
            "/bin/sh", "-c", "trap 'exit 6' USR1; echo ready; while :; do sleep 0.05; done",
        ])
        // Long enough for a busy machine to start a shell in.
        _ = try await guardian.start(proof: .seconds(8))
        #expect(await guardian.process.output.line() == "ready")
        guardian.process.send(SIGSTOP)
        guardian.tell(.deadline(BootClock.after(.seconds(60))))
        // Past the proof that the guard knows of: the time is what this is about.
        try await Task.sleep(for: .seconds(8))
        guardian.process.send(SIGCONT)
        guardian.tell(.signal(SIGUSR1))
        let end = try await guardian.ending()
        #expect(end.cause == .own)
        #expect(end.status.exitStatus == 6)
    }
}
