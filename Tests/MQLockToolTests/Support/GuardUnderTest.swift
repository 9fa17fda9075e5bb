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

/// A real guard, with the test in the place of `mqlock run`.
final class GuardUnderTest: Sendable {
    let process: TestProcess
    private let control: Int32
    private let reports: PipeReader
    private let isOpen = Locked(true)
    /// What /proc calls the guard's two pipes.
    let pipes: [String]

    /// - Parameter through: words that start the guard.
    init(
        _ command: [String], raw: Spawn.CStrings = [], path: String? = nil, group: pid_t = 0, through: [String] = []
    ) throws {
        let down = try required(Spawn.pipe())
        let up = try required(Spawn.pipe())
        let words = [
            "mqlock", "guard", String(down.reading), String(up.writing), String(group), path ?? command[0],
        ]
        pipes = [down.reading, up.writing].map { descriptor in
            var status = stat()
            fstat(descriptor, &status)
            return "pipe:[\(status.st_ino)]"
        }
        process = try TestProcess(
            through.first ?? TestProcess.mqlock, [],
            raw: Spawn.strings(through.isEmpty ? words : through + [TestProcess.mqlock] + words.dropFirst()).dropLast()
                + Spawn.strings(command).dropLast() + raw + [nil],
            inherited: [down.reading, up.writing])
        close(down.reading)
        close(up.writing)
        control = down.writing
        reports = PipeReader(up.reading)
    }

    deinit { closePipe() }

    func tell(_ message: GuardMessage) { Platform.writeAll(message.line.utf8, to: control) }

    /// Starts the command and waits until it is there; nil when it was not executed.
    func start(fence: String = "7", proof: Duration = .seconds(60)) async throws -> pid_t {
        tell(.start(fence: fence, deadline: BootClock.after(proof)))
        guard case .started(let pid) = await report() else { throw TestFailure("the command was not started") }
        return pid
    }

    /// Up to the command's end, whatever is reported before.
    func ending() async throws -> (status: WaitStatus, at: Int64, cause: GuardReport.Cause) {
        while let report = await report() {
            if case .ended(let status, let at, let cause) = report { return (WaitStatus(status), at, cause) }
        }
        throw TestFailure("the guard has not reported the command's end")
    }

    func report() async -> GuardReport? { await reports.line().flatMap(GuardReport.init(line:)) }

    /// What the death of `mqlock` does.
    func closePipe() {
        isOpen.withLock { isOpen in
            if isOpen { close(control) }
            isOpen = false
        }
    }
}
