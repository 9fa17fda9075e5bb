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

@Suite("Run session", .timeLimit(.minutes(1)))
struct RunSessionTests {
    private static let loop = "echo ready >$OUT; while :; do sleep 0.05; done"

    @Test("the command's status is ours, the fence is its, and the lock is released")
    func normal() async throws {
        let test = try SessionUnderTest("echo $MQLOCK_FENCE >$OUT; exit 3") { $0.json = true }
        #expect(await test.session.run() == 3)
        #expect(await test.line() == "42")
        #expect(test.isReleased)
        let events = test.told.split(separator: "\n").compactMap { $0.split(separator: "\"").dropFirst(3).first }
        #expect(events == ["waiting", "granted", "started", "exited", "released"])
        #expect(test.told.contains(#""fence":"42""#))
    }

    @Test("quiet by default")
    func quiet() async throws {
        let test = try SessionUnderTest("exit 0")
        #expect(await test.session.run() == 0)
        #expect(test.told == "")
    }

    @Test("a lock that is lost: the signal at once, 123, the command's own status does not count")
    func lost() async throws {
        let test = try SessionUnderTest("trap 'echo told >$OUT; exit 0' USR1; " + Self.loop) { $0.lossSignal = SIGUSR1 }
        async let status = test.session.run()
        #expect(await test.line() == "ready")
        test.locks.record.lose(LossReason(.queueDeleted))
        #expect(await status == 123)
        #expect(await test.line() == "told")
        #expect(test.told.contains("queue deleted"))
    }

    @Test("a command that ignores the loss is killed after -k")
    func killAfter() async throws {
        let test = try SessionUnderTest("trap '' TERM; " + Self.loop) { $0.killAfter = .milliseconds(300) }
        async let status = test.session.run()
        #expect(await test.line() == "ready")
        let lost = ContinuousClock.now
        test.locks.record.lose(LossReason(.connectionClosed))
        #expect(await status == 123)
        #expect(lost.duration(to: .now) >= .milliseconds(300))
    }

    @Test("near the end of a proof that is not renewed the command is told while it still has time")
    func notice() async throws {
        let locks = FakeLocks(proof: .seconds(4))
        let test = try SessionUnderTest("trap 'echo told >$OUT; exit 0' TERM; " + Self.loop, locks)
        #expect(await test.session.run() == 123)
        // Before the end: the lock could still be released in good order.
        #expect(locks.record.endedAt.map { $0 < ContinuousClock.now } ?? true)
        #expect(locks.record.state == .released)
        test.letGo()
        #expect(await test.line() == "ready")
        #expect(await test.line() == "told")
    }

    @Test("a proof that is found to have run out, by whoever looks first", arguments: 1...8)
    func expired(attempt: Int) async throws {
        // A proof that ends without a word, as after a stop of ours: the guard, the watching thread and the loss
        // handler all meet here.
        let locks = FakeLocks(proof: .milliseconds(300 + attempt))
        let test = try SessionUnderTest("trap '' TERM; " + Self.loop, locks) { $0.killAfter = .zero }
        #expect(await test.session.run() == 123)
    }

    @Test("a proof that is renewed keeps the command alive")
    func renewed() async throws {
        // As long as a busy machine may stop us, and no longer than the command runs.
        let locks = FakeLocks(proof: .seconds(10))
        let test = try SessionUnderTest("sleep 11; exit 4", locks)
        let renewing = Task {
            while !Task.isCancelled {
                locks.proof.extend(to: .now.advanced(by: .seconds(10)))
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        #expect(await test.session.run() == 4)
        renewing.cancel()
    }

    @Test("signals reach the command")
    func signals() async throws {
        let test = try SessionUnderTest("trap 'exit 9' USR2; " + Self.loop)
        async let status = test.session.run()
        #expect(await test.line() == "ready")
        test.send(.signal(SIGUSR2))
        #expect(await status == 9)
    }

    @Test("the guard is killed: the command dies, 70")
    func guardKilled() async throws {
        let test = try SessionUnderTest(
            "trap 'echo usr1 >$OUT' USR1; echo $PPID >$OUT; echo $$ >$OUT; while :; do sleep 0.05; done")
        async let status = test.session.run()
        let guardian = try required((await test.line()).flatMap { pid_t($0) })
        let command = try required((await test.line()).flatMap { pid_t($0) })
        // Once around through the guard: by then it has told which process the command is.
        test.send(.signal(SIGUSR1))
        #expect(await test.line() == "usr1")
        kill(guardian, SIGKILL)
        #expect(await status == 70)
        #expect(test.isReleased)
        // Dead, though nobody may have collected it yet.
        let stat = try? String(contentsOfFile: "/proc/\(command)/stat", encoding: .utf8)
        #expect(stat == nil || stat?.contains(") Z ") == true)
    }

    @Test("an executable that vanished while the lock was waited for")
    func vanished() async throws {
        let test = try SessionUnderTest("") { $0.command = ["/nonexistent/command"] }
        #expect(await test.session.run() == 127)
        #expect(test.isReleased)
        #expect(test.told == "mqlock: command not found: /nonexistent/command\n")
    }

    @Test("not obtained: -n, -w, and what the provider says")
    func notObtained() async throws {
        let taken = try SessionUnderTest("", FakeLocks(.taken)) {
            $0.patience = .none
            $0.conflictStatus = 9
        }
        #expect(await taken.session.run() == 9)
        #expect(taken.told == "mqlock: the lock job is taken\n")
        let late = try SessionUnderTest("", FakeLocks(.taken)) { $0.patience = .within(.seconds(1)) }
        #expect(await late.session.run() == 1)
        let refused = try SessionUnderTest("", FakeLocks(.fail(.accessRefused)))
        #expect(await refused.session.run() == 77)
    }

    @Test("a signal while waiting: 128 + n, and no command")
    func cancelled() async throws {
        let test = try SessionUnderTest("echo ran >$OUT", FakeLocks(.never))
        let running = Task { await test.session.run() }
        let action = test.session.desk.withLock { $0.received(SIGTERM) }
        #expect(action == .cancel)
        running.cancel()
        #expect(await running.value == 143)
        #expect(test.told == "mqlock: SIGTERM while waiting for the lock job\n")
    }

    @Test("a signal that came before the grant keeps the command from running")
    func signalBeforeGrant() async throws {
        let test = try SessionUnderTest("echo ran >$OUT")
        _ = test.session.desk.withLock { $0.received(SIGHUP) }
        #expect(await test.session.run() == 129)
        #expect(test.isReleased)
    }

    private static let holder = LockContender(
        role: .holder, session: String(repeating: "a", count: 32), owner: "web-1\u{202e}", host: "h", process: 1,
        mutex: "sac", duration: .seconds(1), since: 0, fencingToken: FencingToken(rawValue: 7), connection: "")

    @Test("a lock that is not obtained: who holds it is said when that answers, and never waited for beyond the limit")
    func holderIsNamed() async throws {
        for patience in [RunOptions.Patience.none, .within(.milliseconds(400))] {
            for json in [false, true] {
                let test = try SessionUnderTest("", FakeLocks(.late), holder: .answers(Self.holder)) {
                    ($0.patience, $0.json) = (patience, json)
                }
                #expect(await test.session.run() == 1)
                #expect(test.told.contains("web-1"))
                #expect(!test.told.contains("\u{202e}"))
            }
            // One that does not answer, or is not to be asked.
            let silent = try SessionUnderTest("", FakeLocks(.late), holder: .never) {
                $0.patience = patience
            }
            #expect(await silent.session.run() == 1)
            #expect(silent.told.contains("job"))
            let quiet = try SessionUnderTest("", FakeLocks(.late), holder: .answers(Self.holder)) {
                ($0.patience, $0.quiet) = (patience, true)
            }
            #expect(await quiet.session.run() == 1)
            #expect(quiet.told == "")
        }
    }

    @Test(
        "-q is about a lock that is taken, and about nothing else",
        arguments: [LockError.Code.unreachable, .accessRefused])
    func quietIsNoSilence(code: LockError.Code) async throws {
        for patience in [RunOptions.Patience.none, .within(.seconds(1)), .unlimited] {
            let test = try SessionUnderTest("", FakeLocks(.fail(code))) { ($0.patience, $0.quiet) = (patience, true) }
            #expect(await test.session.run() == ExitStatus.of(LockError(code, "")))
            #expect(test.told.contains("as the test wants"))
        }
    }
}
