import Foundation
import Testing

@testable import MQLockTool

#if canImport(Glibc)
@preconcurrency import Glibc
#elseif canImport(Musl)
@preconcurrency import Musl
#else
@preconcurrency import Darwin
#endif

#if os(Linux)
/// All ways out of the command's process group, with all causes of an end: nobody outlives the lock.
///
/// Everyone below the command has its standard output, whose end is the death of them all.
@Suite("Process tree", .timeLimit(.minutes(1)))
struct ProcessTreeTests {
    /// Scripts of bash that end in `wait` or in a loop. `$STAY` says `ready` and never ends by itself.
    private static let waysOut = [
        "in the group": "$STAY & wait",
        "a group of its own": "set -m; $STAY & wait",
        "a session of its own": "setsid $STAY & wait",
        "an orphan in a session of its own": "(setsid $STAY &); sleep 600",
        "an orphan of an orphan": "(setsid bash -c '(setsid $STAY &)' &); sleep 600",
        "deaf": "trap '' TERM INT HUP USR1; setsid $STAY & wait",
        "stopped": "STOP=1 setsid $STAY & wait",
        "a child of somebody who collects its children itself": "setsid bash -c '$STAY & wait' & wait",
    ]

    enum Cause: CaseIterable {
        case mqlockDies, proofRunsOut, lost, askedToEnd, commandKilledWhileLosing

        func happen(to guardian: GuardUnderTest, _ command: pid_t) {
            switch self {
            case .mqlockDies: guardian.closePipe()
            case .proofRunsOut: guardian.tell(.deadline(BootClock.after(.milliseconds(100))))
            case .lost: guardian.tell(.lose(signal: SIGTERM, killAt: BootClock.after(.milliseconds(300))))
            case .askedToEnd:
                guardian.tell(.ending(signal: SIGTERM, grace: 300_000_000))
                guardian.tell(.signal(SIGTERM))
                // A command that is deaf is not what this is about.
                guardian.tell(.signal(SIGKILL))
            case .commandKilledWhileLosing:
                guardian.tell(.lose(signal: SIGTERM, killAt: BootClock.after(.milliseconds(300))))
                kill(command, SIGKILL)
            }
        }
    }

    @Test("everyone below is dead before the guard says so", arguments: Cause.allCases, [false, true])
    func ends(cause: Cause, foreground: Bool) async throws {
        let stay = FileManager.default.temporaryDirectory.appendingPathComponent("mqlock-stay-\(UUID())").path
        let text = "echo ready; [ -z \"$STOP\" ] || kill -STOP $$; while :; do sleep 600; done\n"
        try text.write(toFile: stay, atomically: true, encoding: .utf8)
        defer { unlink(stay) }
        for (way, script) in Self.waysOut {
            let guardian = try GuardUnderTest(
                ["/bin/bash", "-c", script.replacing("$STAY", with: "bash \(stay)")], group: foreground ? getpgrp() : 0)
            let command = try await guardian.start()
            #expect(await guardian.process.output.line() == "ready", "\(way)")
            cause.happen(to: guardian, command)
            var last: GuardReport?
            while let report = await guardian.report() { last = report }
            #expect(last == .done(isComplete: true), "\(way)")
            #expect(await guardian.process.output.line() == nil, "\(way)")
        }
    }

    @Test("what ends below is collected, and the dead do not count")
    func collected() async throws {
        let guardian = try GuardUnderTest(["/bin/bash", "-c", "(bash -c 'echo $$ $PPID' &); exec sleep 600"])
        let command = try await guardian.start()
        let orphan = try required(await guardian.process.output.line()).split(separator: " ").compactMap { pid_t($0) }
        // Gone from the list of processes, not only dead.
        while kill(orphan[0], 0) == 0 { try await Task.sleep(for: .milliseconds(5)) }
        #expect(kill(command, 0) == 0)
        guardian.tell(.lose(signal: SIGTERM, killAt: BootClock.after(.seconds(60))))
        #expect(try await guardian.ending().status.signal == SIGTERM)
        #expect(await guardian.report() == .done(isComplete: true))
    }

    @Test("a guard that is killed takes the command with it, whatever is left to see it")
    func parentDeath() async throws {
        let guardian = try GuardUnderTest(["/bin/sh", "-c", "trap '' TERM HUP INT; echo ready; exec sleep 600"])
        _ = try await guardian.start()
        #expect(await guardian.process.output.line() == "ready")
        guardian.process.send(SIGKILL)
        #expect(await guardian.process.output.line() == nil)
    }
}

/// Somebody below who may not be signalled: he has become root, and the guard has not.
@Suite(
    "Process tree, unkillable", .timeLimit(.minutes(1)),
    .enabled(if: Unkillable.isPossible, "needs root, and setpriv(1)"))
struct UnkillableTests {
    @Test("is told, and is waited for as long as the lock is ours; the last word is that he is left")
    func command() async throws {
        let root = try Unkillable()
        let guardian = try GuardUnderTest(root.command(["sleep", "600"]), through: Unkillable.nobody)
        let deadline = BootClock.after(.seconds(4))
        guardian.tell(.start(fence: "7", deadline: deadline))
        guard case .started(let pid) = await guardian.report() else { throw TestFailure("not started") }
        defer { kill(pid, SIGKILL) }
        #expect(await guardian.process.output.line() == "ready")
        guardian.tell(.signal(SIGUSR1))
        #expect(await guardian.report() == .undelivered(signal: SIGUSR1, errno: EPERM))
        guardian.tell(.lose(signal: SIGTERM, killAt: BootClock.after(.milliseconds(100))))
        #expect(await guardian.report() == .undelivered(signal: SIGTERM, errno: EPERM))
        #expect(await guardian.report() == .survivor(pid: pid, errno: EPERM))
        #expect(await guardian.report() == .killing)
        #expect(await guardian.report() == .done(isComplete: false))
        #expect(BootClock.now >= deadline)
        #expect(kill(pid, 0) == 0)
    }

    @Test("one who ends before the lock can be another's is no survivor")
    func endsInTime() async throws {
        let root = try Unkillable()
        let script = root.command(["sleep", "600"]).map { "'\($0)'" }.joined(separator: " ")
        let guardian = try GuardUnderTest(["/bin/sh", "-c", "\(script) & wait"], through: Unkillable.nobody)
        _ = try await guardian.start()
        #expect(await guardian.process.output.line() == "ready")
        guardian.tell(.lose(signal: SIGTERM, killAt: BootClock.after(.milliseconds(100))))
        #expect(try await guardian.ending().cause == .lost)
        guard case .survivor(let pid, EPERM) = await guardian.report() else { throw TestFailure("nobody was told") }
        #expect(await guardian.report() == .killing)
        kill(pid, SIGKILL)
        #expect(await guardian.report() == .done(isComplete: true))
    }
}
#endif
