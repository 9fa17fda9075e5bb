import Foundation
import Testing

/// For tests that compute for seconds. They take turns on one thread of low priority: on the language's threads, of which
/// there are as many as processors, and at their side, tests that measure time would wait for them.
struct InBackground: TestTrait, SuiteTrait, TestScoping {
    let isRecursive = true

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(BackgroundThread.shared) { try await function() }
    }
}

extension Trait where Self == InBackground {
    static var inBackground: Self { Self() }
}

private final class BackgroundThread: TaskExecutor, @unchecked Sendable {
    static let shared = BackgroundThread()

    private let condition = NSCondition()
    /// Guarded by the condition.
    private var jobs: [UnownedJob] = []

    private init() {
        Thread.detachNewThread { [self] in
            // In Linux that is the thread's alone.
            #if os(Linux)
            setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, 15)
            #endif
            while true { next().runSynchronously(on: asUnownedTaskExecutor()) }
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        condition.withLock {
            jobs.append(job)
            condition.signal()
        }
    }

    private func next() -> UnownedJob {
        condition.withLock {
            while jobs.isEmpty { condition.wait() }
            return jobs.removeFirst()
        }
    }
}
