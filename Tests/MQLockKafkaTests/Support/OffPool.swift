import Dispatch

/// Runs what blocks on a thread of its own: the pool has as many threads as the machine has cores, and other tests wait
/// for them. It stays the same task, so what is expected is the test's.
func offPool<R: Sendable>(_ body: @Sendable () throws -> R) async throws -> R {
    try await withTaskExecutorPreference(OwnThread()) { try body() }
}

/// Runs tasks that prefer it on a thread of its own.
final class OwnThread: TaskExecutor {
    private let queue = DispatchQueue(label: "mqlock.tests.off-pool")

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
