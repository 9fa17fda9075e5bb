import MQLock
import MQLockRabbitMQ

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Whoever holds the lock that is asked for.
enum FakeHolder {
    case none
    case answers(LockContender)
    /// Not until the process ends, also when cancelled: as a connection that never comes up.
    case never

    func answer(_ limit: Duration) async -> LockContender? {
        switch self {
        case .none: nil
        case .answers(let holder): holder
        case .never: await withUnsafeContinuation { (_: UnsafeContinuation<LockContender?, Never>) in }
        }
    }
}

/// `mqlock run` without the broker and without the main thread: a real guard and command, a lock of ours.
final class SessionUnderTest: Sendable {
    let session: RunSession
    let locks: FakeLocks
    private let continuation: AsyncStream<RunMachine.Event>.Continuation
    private let errors = Locked("")
    private let lines: PipeReader
    private let writing: Int32
    private let isLetGo = Locked(false)

    /// - Parameters:
    ///   - script: for the shell; what it writes to `$OUT` are the lines that ``line()`` returns.
    ///   - marks: with `--once`: where marks are kept.
    init(
        _ script: String, _ locks: FakeLocks = FakeLocks(),
        holder: FakeHolder = .none, marks: FakeMarks? = nil,
        _ change: (inout RunOptions) -> Void = { _ in }
    ) throws {
        var options = RunOptions(name: "job", mutex: .token, command: ["/bin/sh", "-c", script])
        change(&options)
        TestProcess.ignoreBrokenPipes
        let pipe = try required(Spawn.pipe())
        (lines, writing) = (PipeReader(pipe.reading), pipe.writing)
        let (events, continuation) = AsyncStream.makeStream(of: RunMachine.Event.self)
        self.continuation = continuation
        let link = try GuardLink(
            executable: TestProcess.mqlock, path: options.command[0], arguments: Spawn.strings(options.command),
            environment: Spawn.environment(overriding: ["OUT": "/proc/\(getpid())/fd/\(pipe.writing)"]),
            options: options, ignored: [], onEvent: { continuation.yield($0) })
        self.locks = locks
        let output = Output(
            standardOutput: { _ in }, standardError: { [errors] text in errors.withLock { $0 += text } })
        session = RunSession(
            options: options, provider: locks, link: link, events: events, continuation: continuation,
            desk: Locked(SignalDesk()), reporter: RunReporter(options, owner: "me", output: output),
            // Other tests have children in this process, too.
            remains: Remains(ownsTree: false), once: try marks?.gate(options), whoHolds: { await holder.answer($0) },
            shutDown: {},
            leave: { _ in })
    }

    deinit { letGo() }

    /// The next line; waits for ever when none comes, unless our own end was given up.
    func line() async -> String? { await lines.line() }

    /// Gives up our own end, once the command has opened its own or has ended, so that the end of its lines can come.
    func letGo() {
        isLetGo.withLock { isLetGo in
            if !isLetGo { close(writing) }
            isLetGo = true
        }
    }
    func send(_ event: RunMachine.Event) { continuation.yield(event) }
    /// What was said on stderr.
    var told: String { errors.withLock { $0 } }
    var isReleased: Bool { locks.released.withLock { $0 } }
}
