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
/// The built command and what it starts, under ends that leave somebody behind. Real processes, a real broker.
@Suite("mqlock run, hard ends", .serialized, .timeLimit(.minutes(2)), .enabled(if: Broker.uri != nil, Broker.reason))
struct RunHardEndTests {
    private let name = "hard-end-\(UUID().uuidString)"

    private func start(
        _ options: [String] = [], _ command: [String], through: [String] = [], heartbeat: Int = 5
    ) throws -> TestProcess {
        let uri = try Broker.changed { $0.queryItems = [URLQueryItem(name: "heartbeat", value: String(heartbeat))] }
        let words = [TestProcess.mqlock, "run", name, "--mutex", "token"] + options + ["--"] + command
        let all = through + words
        return try TestProcess(all[0], all, environment: ["MQLOCK_BROKER": uri])
    }

    private func breakLock() async throws {
        for _ in 0..<100 {
            let environment = ["MQLOCK_BROKER": try required(Broker.uri)]
            if try await TestProcess.run(["break", name, "--yes"], environment: environment).status == 0 { return }
        }
        throw TestFailure("the lock could not be broken")
    }

    private static let session = "setsid sh -c 'echo ready >&9; exec sleep 600' & "

    /// The lock is granted to the next one only when everybody is dead, a session of its own or not.
    @Test("whatever ends it, nobody is left when the next one has the lock", arguments: [SIGTERM, SIGINT, SIGKILL, 0])
    func handOver(signal: Int32) async throws {
        let life = try Lifeline()
        let holder = try start([], ["bash", "-c", life.opening + Self.session + "wait"])
        #expect(await life.line() == "ready")
        life.letGo()
        let next = try start([], ["echo", "granted"])
        async let dead: ContinuousClock.Instant = {
            #expect(await life.line() == nil)
            return .now
        }()
        async let granted: ContinuousClock.Instant = {
            #expect(await next.output.line() == "granted")
            return .now
        }()
        if signal == 0 { try await breakLock() } else { holder.send(signal) }
        // A process that is killed is dead some instants before the broker, or anybody, can hear of it.
        #expect(await dead < granted || signal == SIGKILL)
        _ = await holder.ended()
        _ = await next.ended()
    }

    @Test("what the command leaves in the background when it ends by itself is let be")
    func background() async throws {
        let holder = try start([], ["bash", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"])
        let child = try required((await holder.output.line()).flatMap { pid_t($0) })
        #expect(await holder.ended().exitStatus == 0)
        #expect(kill(child, 0) == 0)
        kill(child, SIGKILL)
    }

    @Test("the guard is killed: mqlock ends everybody itself before the lock is released")
    func guardKilled() async throws {
        let life = try Lifeline()
        let holder = try start([], ["bash", "-c", life.opening + Self.session + "echo $PPID; wait"])
        let guardian = try required((await holder.output.line()).flatMap { pid_t($0) })
        #expect(await life.line() == "ready")
        life.letGo()
        kill(guardian, SIGKILL)
        #expect(await life.line() == nil)
        #expect(await holder.ended().exitStatus == 70)
    }

    @Test("mqlock and its guard are killed at once: the command dies with them")
    func bothKilled() async throws {
        let life = try Lifeline()
        let holder = try start(
            [], ["sh", "-c", life.opening + "echo $PPID; echo ready >&9; trap '' HUP; exec sleep 600"])
        let guardian = try required((await holder.output.line()).flatMap { pid_t($0) })
        #expect(await life.line() == "ready")
        life.letGo()
        // Stopped first, so that neither sees the other die.
        holder.send(SIGSTOP)
        kill(guardian, SIGSTOP)
        holder.send(SIGKILL)
        kill(guardian, SIGKILL)
        #expect(await life.line() == nil)
        _ = await holder.ended()
    }

    @Test(
        "a command that nobody here may signal: told, 71, and no release before the proof has run out",
        .enabled(if: Unkillable.isPossible, "needs root, and setpriv(1)"))
    func unkillable() async throws {
        let root = try Unkillable()
        let holder = try start(
            ["-v", "-k", "100ms"], root.command(["sh", "-c", "echo $$; exec sleep 600"]), through: Unkillable.nobody,
            heartbeat: 2)
        #expect(await holder.output.line() == "ready")
        let command = try required((await holder.output.line()).flatMap { pid_t($0) })
        defer { kill(command, SIGKILL) }
        try await breakLock()
        let broken = ContinuousClock.now
        #expect(await holder.ended().exitStatus == 71)
        let ended = ContinuousClock.now
        // It has stderr, too.
        kill(command, SIGKILL)
        let result = await holder.errors.rest()
        #expect(result.contains("SIGTERM: Operation not permitted"))
        #expect(result.contains("process \(command) cannot be killed"))
        // The proof is worth two heartbeats at least when it is fresh, and one when it is not.
        #expect(ended - broken > .seconds(1))
    }

    /// As in a container, where nobody else collects orphans. unshare(1) needs root.
    private static let asFirst = ["/usr/bin/unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]

    @Test(
        "as process 1 the dead are collected, and do not delay a hand-over",
        .enabled(if: geteuid() == 0 && access("/usr/bin/unshare", X_OK) == 0, "needs root, and unshare(1)"))
    func firstProcess() async throws {
        let script = """
            (setsid sh -c 'exit 0' &); (sleep 0.01 &)
            while grep -qs '^State:.Z' /proc/[0-9]*/status; do sleep 0.01; done
            (sh -c 'echo ready; exec sleep 600' &)
            exec sleep 600
            """
        let holder = try start(["-v"], ["sh", "-c", script], through: Self.asFirst, heartbeat: 60)
        #expect(await holder.output.line() == "ready")
        let next = try start([], ["echo", "granted"], heartbeat: 60)
        let start = ContinuousClock.now
        try await breakLock()
        #expect(await next.output.line() == "granted")
        // The proof, which the dead would be given, is two minutes.
        #expect(start.duration(to: .now) < .seconds(60))
        #expect(await holder.ended().exitStatus == 123)
        _ = await next.ended()
    }
}
#endif
