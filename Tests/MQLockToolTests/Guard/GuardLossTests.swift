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

/// What the guard does when the lock is lost while `mqlock` is alive.
@Suite("Guard process, loss", .timeLimit(.minutes(1)))
struct GuardLossTests {
    @Test("the signal comes at once, and the command's own end is reported")
    func graceful() async throws {
        let guardian = try GuardUnderTest([
            "/bin/sh", "-c", "trap 'echo told; exit 3' TERM; echo ready; while :; do sleep 0.05; done",
        ])
        _ = try await guardian.start()
        #expect(await guardian.process.output.line() == "ready")
        guardian.tell(.lose(signal: SIGTERM, killAt: BootClock.after(.seconds(30))))
        #expect(await guardian.process.output.line() == "told")
        let end = try await guardian.ending()
        #expect(end.cause == .lost)
        #expect(end.status.exitStatus == 3)
        #expect(await guardian.report() == .done(isComplete: true))
        #expect(await guardian.report() == nil)
    }

    @Test("a stopped command is woken for the signal")
    func stopped() async throws {
        let guardian = try GuardUnderTest(["/bin/sh", "-c", "echo ready; kill -STOP $$; sleep 600"])
        _ = try await guardian.start()
        #expect(await guardian.process.output.line() == "ready")
        guardian.tell(.lose(signal: SIGTERM, killAt: BootClock.after(.seconds(30))))
        let end = try await guardian.ending()
        #expect(end.cause == .lost)
        #expect(end.status.signal == SIGTERM)
    }

    @Test("a command that does not listen is killed in time")
    func stubborn() async throws {
        let guardian = try GuardUnderTest(["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
        _ = try await guardian.start()
        #expect(await guardian.process.output.line() == "ready")
        let killAt = BootClock.after(.milliseconds(300))
        guardian.tell(.lose(signal: SIGTERM, killAt: killAt))
        let end = try await guardian.ending()
        #expect(end.cause == .lost)
        #expect(end.status.signal == SIGKILL)
        #expect(end.at >= killAt)
        #expect(await guardian.process.output.line() == nil)
    }

    @Test("a child that outlives the command is killed in time; the guard stays until then")
    func straggler() async throws {
        let script = "(trap '' TERM; echo ready; exec sleep 600) & wait"
        let guardian = try GuardUnderTest(["/bin/sh", "-c", script])
        _ = try await guardian.start()
        #expect(await guardian.process.output.line() == "ready")
        let killAt = BootClock.after(.milliseconds(500))
        guardian.tell(.lose(signal: SIGTERM, killAt: killAt))
        let end = try await guardian.ending()
        #expect(end.cause == .lost)
        #expect(end.status.signal == SIGTERM)
        #expect(end.at < killAt)
        #expect(await guardian.process.output.line() == nil)
        #expect(BootClock.now >= killAt)
        #expect(await guardian.report() == .killing)
        #expect(await guardian.report() == .done(isComplete: true))
        #expect(await guardian.report() == nil)
    }

    @Test("mqlock dies during the grace: everything is killed at once")
    func diesDuringGrace() async throws {
        let guardian = try GuardUnderTest(["/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.05; done"])
        _ = try await guardian.start()
        #expect(await guardian.process.output.line() == "ready")
        guardian.tell(.lose(signal: SIGTERM, killAt: BootClock.after(.seconds(600))))
        guardian.closePipe()
        #expect(await guardian.process.output.line() == nil)
        #expect(try await guardian.ending().cause == .orphaned)
    }

    @Test("in the foreground a signal is for the command alone, in the given group; an end is for all")
    func foreground() async throws {
        let script = """
            ps -o pgid= -p $$; trap 'echo told' USR1
            (trap 'echo wrong' USR1; echo ready; while :; do sleep 0.05; done) &
            while :; do wait; done
            """
        let guardian = try GuardUnderTest(["/bin/sh", "-c", script], group: getpgrp())
        _ = try await guardian.start()
        let group = try required(await guardian.process.output.line()).filter { !$0.isWhitespace }
        #expect(group == String(getpgrp()))
        #expect(await guardian.process.output.line() == "ready")
        guardian.tell(.signal(SIGUSR1))
        #expect(await guardian.process.output.line() == "told")
        guardian.closePipe()
        #expect(await guardian.process.output.rest() == "")
        #expect(try await guardian.ending().cause == .orphaned)
    }
}
