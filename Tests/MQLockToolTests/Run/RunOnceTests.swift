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

/// `--once` with marks of the test's own: real guards and commands, no broker.
@Suite("mqlock run --once", .timeLimit(.minutes(1)))
struct RunOnceTests {
    private static let key = "2026-11-30"

    private func mark(_ outcome: DoneMark.Outcome = .completed, key: String = key) -> DoneMark {
        DoneMark(
            period: key, began: 1, ended: 2, owner: "other", fencingToken: FencingToken(rawValue: 41)!,
            outcome: outcome)
    }

    private func session(
        _ script: String, _ locks: FakeLocks = FakeLocks(), _ marks: FakeMarks,
        _ change: (inout RunOptions) -> Void = { _ in }
    ) throws -> SessionUnderTest {
        try SessionUnderTest(script, locks, marks: marks) { options in
            options.once = try? Period(Self.key)
            options.json = true
            change(&options)
        }
    }

    private func events(_ test: SessionUnderTest) -> [String] {
        test.told.split(separator: "\n").compactMap { $0.split(separator: "\"").dropFirst(3).first.map(String.init) }
    }

    @Test("a command that ends with 0 is marked before the lock is released")
    func done() async throws {
        let locks = FakeLocks()
        let wasReleased = Locked<Bool?>(nil)
        let marks = FakeMarks { wasReleased.withLock { $0 = locks.released.withLock { $0 } } }
        let test = try session("exit 0", locks, marks)
        #expect(await test.session.run() == 0)
        let mark = try required(marks.marks.first)
        #expect(marks.marks.count == 1 && mark.outcome == .completed && mark.exitStatus == 0)
        #expect(mark.period == Self.key && mark.fencingToken.rawValue == 42 && mark.owner == "me")
        #expect(wasReleased.withLock { $0 } == false && test.isReleased)
        #expect(events(test) == ["waiting", "granted", "started", "exited", "marked", "released"])
    }

    @Test("what is done is skipped without the lock", arguments: [DoneMark.Outcome.completed, .failed])
    func skipped(outcome: DoneMark.Outcome) async throws {
        let test = try session("echo ran >$OUT", FakeLocks(.fail(.internalError)), FakeMarks(arriving: [mark(outcome)]))
        #expect(await test.session.run() == 0)
        test.letGo()
        #expect(await test.line() == nil)
        #expect(events(test) == ["skipped"])
    }

    @Test("what another one does while we wait is skipped, and the lock released", arguments: [Int32(0), 9])
    func skippedAfterTheWait(status: Int32) async throws {
        let marks = FakeMarks(arriving: [nil, mark()])
        let test = try session("echo ran >$OUT", FakeLocks(), marks) { $0.skipStatus = status }
        #expect(await test.session.run() == status)
        test.letGo()
        #expect(await test.line() == nil)
        #expect(test.isReleased && marks.marks.count == 1)
        #expect(events(test) == ["waiting", "skipped"])
    }

    @Test("nothing is said of a skipped run unless somebody wants to know")
    func quiet() async throws {
        let test = try session("exit 0", FakeLocks(), FakeMarks(arriving: [mark()])) { $0.json = false }
        #expect(await test.session.run() == 0)
        #expect(test.told == "")
    }

    @Test("marks of other periods mean nothing")
    func otherPeriods() async throws {
        let marks = FakeMarks(arriving: [mark(key: "2026-11-29"), mark(key: "2026-12-01")])
        let test = try session("exit 0", FakeLocks(), marks)
        #expect(await test.session.run() == 0)
        #expect(events(test).contains("started"))
    }

    @Test(
        "failures are marked only when that is wanted",
        arguments: [("exit 3", Int32(3)), ("kill -KILL $$", 137), ("kill -TERM $$", 143)], [false, true])
    func failures(command: (script: String, status: Int32), marksFailures: Bool) async throws {
        let marks = FakeMarks()
        let test = try session(command.script, FakeLocks(), marks) { $0.marksFailures = marksFailures }
        #expect(await test.session.run() == command.status)
        #expect(marks.marks.map(\.exitStatus) == (marksFailures ? [command.status] : []))
        #expect(marks.marks.allSatisfy { $0.outcome == .failed })
        #expect(test.isReleased)
    }

    @Test("a command that cannot be executed is no failure of the job")
    func notExecuted() async throws {
        let marks = FakeMarks()
        let test = try session("", FakeLocks(), marks) {
            $0.marksFailures = true
            $0.command = ["/nowhere/at/all"]
        }
        #expect(await test.session.run() == 127)
        #expect(marks.marks.isEmpty)
    }

    /// The last: the command failed because somebody wanted its end.
    @Test("a command that was asked to end", arguments: [("exit 0", Int32(0), 1), ("exit 3", 3, 0)])
    func askedToEnd(trap: String, status: Int32, expected: Int) async throws {
        let marks = FakeMarks()
        let test = try session(
            "trap '\(trap)' TERM; echo ready >$OUT; while :; do sleep 0.05; done", FakeLocks(), marks
        ) { $0.marksFailures = true }
        async let result = test.session.run()
        #expect(await test.line() == "ready")
        // As the main thread does.
        guard case .forward(let signal) = test.session.desk.withLock({ $0.received(SIGTERM) }) else {
            throw TestFailure("the signal is not passed on")
        }
        test.send(.signal(signal))
        #expect(await result == status)
        #expect(marks.marks.count == expected)
    }

    @Test("a lock that is lost: no mark, whatever the command made of it")
    func lost() async throws {
        let marks = FakeMarks()
        let test = try session(
            "trap 'exit 0' TERM; echo ready >$OUT; while :; do sleep 0.05; done", FakeLocks(), marks)
        async let status = test.session.run()
        #expect(await test.line() == "ready")
        test.locks.record.lose(LossReason(.queueDeleted))
        #expect(await status == 123)
        #expect(marks.marks.isEmpty)
    }

    @Test(
        "a mark that cannot be kept is said, and shows in the status",
        arguments: [(LockError.Code.outcomeUnknown, Int32(69)), (.accessRefused, 77), (.incompatible, 78)])
    func unmarked(code: LockError.Code, status: Int32) async throws {
        let test = try session("exit 0", FakeLocks(), FakeMarks(failure: LockError(code, "as the test wants")))
        #expect(await test.session.run() == status)
        #expect(test.isReleased && events(test).contains("failed") && test.told.contains("as the test wants"))
    }

    @Test(
        "options that make no sense are refused",
        arguments: [
            ["--mark-failures"], ["--skip-exit-code", "3"], ["--once", "daily"], ["--once", ""], ["--once", "24"],
            ["--once", "day@Nowhere/Land"], ["--once", "day", "--skip-exit-code", "256"],
        ])
    func refused(options: [String]) async throws {
        let test = try TestProcess(TestProcess.mqlock, ["mqlock", "run"] + options + ["job", "--", "true"])
        let result = await test.result()
        #expect(result.status == 64)
        #expect(result.errors.contains("--once") || result.errors.contains("--skip-exit-code"))
    }
}

/// The built command against a real broker.
@Suite("mqlock run --once with a broker", .timeLimit(.minutes(2)), .enabled(if: Broker.uri != nil, Broker.reason))
struct RunOnceBrokerTests {
    private let name = "once-\(UUID().uuidString)"

    private func start(_ options: [String], _ command: [String]) throws -> TestProcess {
        try TestProcess(
            TestProcess.mqlock, ["mqlock", "run", name] + options + ["--"] + command,
            environment: ["MQLOCK_BROKER": try required(Broker.uri)])
    }

    @Test("of several that start at once one runs it", arguments: ["sac", "token", "exclusive"])
    func once(mutex: String) async throws {
        for period in ["day", "one", "2026-11-30"] {
            let runs = try (0..<5).map { _ in
                try start(["--mutex", mutex, "--once", period], ["sh", "-c", "echo ran; sleep 0.1"])
            }
            var outputs: [String] = []
            for run in runs {
                let result = await run.result()
                #expect(result.status == 0 && result.errors == "")
                outputs.append(result.output)
            }
            #expect(outputs.filter { !$0.isEmpty } == ["ran\n"])
        }
        let show = try TestProcess(
            TestProcess.mqlock, ["mqlock", "show", name, "--json"],
            environment: ["MQLOCK_BROKER": try required(Broker.uri)])
        let done = try required(await show.result().output.split(separator: "\n").last)
        let object = try required(JSONSerialization.jsonObject(with: Data(done.utf8)) as? [String: Any])
        #expect(object["event"] as? String == "done" && object["period"] as? String == "2026-11-30")
    }

    @Test("the next one runs what has failed, and what a killed one began")
    func again() async throws {
        #expect(await (try start(["--once", "a"], ["sh", "-c", "exit 3"])).result().status == 3)
        let killed = try start(["--once", "a"], ["sh", "-c", "echo ready; exec sleep 600"])
        #expect(await killed.output.line() == "ready")
        let waiting = try start(["--once", "a"], ["sh", "-c", "echo $MQLOCK_PERIOD"])
        killed.send(SIGKILL)
        let result = await waiting.result()
        #expect(result.status == 0 && result.output == "a\n")
        #expect(await (try start(["--once", "a"], ["sh", "-c", "echo again"])).result().output == "")
    }

    @Test("the period as the command sees it")
    func period() async throws {
        let day = await (try start(["--once", "day@Asia/Kolkata"], ["sh", "-c", "echo $MQLOCK_PERIOD"])).result()
        #expect(day.output.hasSuffix("T18:30:00Z\n"))
        let hours = try start(["--once", "100h"], ["sh", "-c", "echo ${MQLOCK_PERIOD-none}"])
        #expect(await hours.result().output == "")
        let other = try TestProcess(
            TestProcess.mqlock,
            ["mqlock", "run", "\(name)-2", "--once", "1h", "--", "sh", "-c", "echo ${MQLOCK_PERIOD-none}"],
            environment: ["MQLOCK_BROKER": try required(Broker.uri)])
        #expect(await other.result().output == "none\n")
    }
}
