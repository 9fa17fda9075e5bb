import ExamplesShared
import MQLock

/// One of several replicas of a service with a nightly job.
struct Replica: Sendable {
    /// One name for the job, not one per night. So a late run of yesterday's job and today's are kept apart too, and
    /// the broker keeps one queue instead of one a night.
    static let lock: LockName = "nightly-report"

    let name: String
    let locks: any LockProvider
    let reports: Reports
    /// How long the report takes. With the token mutex, stay below the broker's delivery-acknowledgement timeout (30
    /// minutes unless configured); the lease ends before it.
    let work: Duration
    /// Whether to stand still before publishing, for the tests.
    let standsStill: Bool

    /// Ensures that the night's report is published, by this replica or another, before the deadline.
    ///
    /// **Why `withLock(within:)`, not `tryAcquire`.** All replicas stand in line until the runner is done. Then each
    /// checks, and finds nothing to do. That wait *is* the take-over: when the runner is killed, the broker hands the
    /// lock to the next in line at once. With `tryAcquire` the others would have given up by then, and the night's
    /// report would be missing. Standing in line costs nothing: no polling, the broker pushes the lock. `tryAcquire` is
    /// for work that can be skipped, such as a cache that another replica is already warming.
    ///
    /// The limit is the time by which somebody must hear that there is no report, not how long the job takes.
    /// - Throws: `LockError`, `timedOut` at the deadline.
    func run(night: String, within limit: Duration) async throws {
        let deadline = ContinuousClock.now + limit
        var isOurs = false
        while !reports.isDone(night) {
            Program.say("\(name): in line for the report of \(night)")
            do {
                let limit = ContinuousClock.now.duration(to: deadline)
                isOurs = try await locks.withLock(Self.lock, within: limit) { lease in
                    if try reports.isDone(night, under: lease) { return false }
                    try await publish(night, under: lease)
                    return true
                }
            } catch let error as LockError where error.code == .lost {
                // The next holder does the job again. We go back in line in case it fails, too.
                Program.say("\(name): lost the lock: \(error)")
            }
        }
        if !isOurs { Program.say("\(name): skips \(night), its report is there") }
    }

    private func publish(_ night: String, under lease: Lease) async throws {
        Program.say("\(name): runs the report of \(night), token \(lease.fencingToken)")
        // The work; `withLock` cancels it when the lock is lost. Its effects elsewhere must be safe to repeat: a
        // successor starts from the beginning.
        try await Task.sleep(for: work)
        let text = "Report of \(night)\nby \(name)\nunder token \(lease.fencingToken)\n"
        if standsStill { Program.standStill(name) }
        // The gate in front of the file decides. An effect without a gate, such as sending the report by mail, belongs
        // after the publication and `lease.check(atLeast:)`, and may still happen twice.
        try reports.publish(text, for: night, under: lease)
        Program.say("\(name): published the report of \(night), token \(lease.fencingToken)")
    }
}
