import Dispatch
import MQLock

/// Runs tasks that prefer it on a thread of its own, where they may block: Swift's pool has only as many threads as the
/// machine has processors.
final class OwnThread: TaskExecutor {
    private let queue = DispatchQueue(label: "mqlock.testing.own-thread")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}

/// Blocks threads until this many have come: a thread that one of them keeps waiting never comes.
final class Meeting: Sendable {
    private let patience: Duration
    private let missing: Locked<Int>
    private let complete = DispatchSemaphore(value: 0)

    /// - Parameter patience: after this time a thread gives up; only a hang takes that long.
    init(of count: Int, patience: Duration) { (missing, self.patience) = (Locked(count), patience) }

    /// Whether all have come.
    var isComplete: Bool { missing.withLock { $0 <= 0 } }

    /// Comes to the meeting, and blocks the calling thread until it is complete.
    func attend() {
        arrive()
        _ = complete.wait(timeout: .now() + patience.seconds)
        // Each one lets the next continue.
        complete.signal()
    }

    /// Comes to the meeting without staying.
    func arrive() {
        let isLast = missing.withLock { missing in
            missing -= 1
            return missing == 0
        }
        if isLast { complete.signal() }
    }
}

// Rule 3: user code that blocks keeps no one from being notified of the loss.
extension LockConformance {
    var blockingChecks: [Check] {
        [
            Check(.lossIsReported, "cancellation handlers and an observer that block", waits: false) { bench in
                let endSession = try bench.need(bench.subject.faults.endSession, "end a session")
                // Both holders' handlers and the observer, each of which blocks until the others have been notified.
                let meeting = Meeting(of: 3, patience: bench.subject.patience / 2)
                let provider = try await bench.provider(observer: LossBlocker(meeting))
                let begun = Replay<Void>()
                let works = (0..<2).map { _ in
                    let name = bench.subject.makeName()
                    return Task(executorPreference: OwnThread()) {
                        try await provider.withLock(name) { _ in
                            await withTaskCancellationHandler {
                                begun.send(())
                                for await _ in AsyncStream<Never>.makeStream().stream {}
                            } onCancel: {
                                meeting.attend()
                            }
                        }
                    }
                }
                try await bench.within("both holders") { await begun.first(count: 2) }
                try await endSession(provider)
                for work in works {
                    let result = try await bench.passing(
                        "a holder to hear of the loss", upTo: bench.subject.handOverLimit * 2
                    ) { await work.result }
                    guard case .failure(let error as LockError) = result, error.code == .lost else {
                        throw Unmet("withLock ended with \(result)")
                    }
                }
                try bench.require(
                    meeting.isComplete, "somebody heard of the loss only after another had stopped to block")
            }
        ]
    }
}

/// Blocks in the first loss that it is notified of.
private final class LossBlocker: LockObserver {
    private let meeting: Meeting
    private let hasCome = Locked(false)

    init(_ meeting: Meeting) { self.meeting = meeting }

    func observe(_ event: LockEvent) {
        let isFirst = hasCome.withLock { hasCome in
            guard event.kind == .lost, !hasCome else { return false }
            hasCome = true
            return true
        }
        if isFirst { meeting.attend() }
    }
}
