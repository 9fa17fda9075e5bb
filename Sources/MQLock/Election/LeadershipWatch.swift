/// Notices, while a candidate leads, that its proof is about to run out, and that its work makes no progress.
struct LeadershipWatch: Sendable {
    let leadership: Leadership
    let settings: ElectionSettings
    let clock: any LockClock

    /// - Parameter givesNotice: whether to report that the leadership has to end before its proof does.
    func start(
        givesNotice: Bool, onLoss: @escaping @Sendable (LossReason) async -> Void,
        onUnhealthy: @escaping @Sendable () async -> Void
    ) -> [Task<Void, Never>] {
        var tasks: [Task<Void, Never>] = []
        if givesNotice { tasks.append(Task { if let reason = await proofRunsOut() { await onLoss(reason) } }) }
        if let health = settings.health {
            tasks.append(Task { if await stalls(health.value, onUnhealthy) { await onUnhealthy() } })
        }
        return tasks
    }

    /// Waits until less than the notice is left of the proof; nil when cancelled.
    private func proofRunsOut() async -> LossReason? {
        let record = leadership.lease.record
        // The clock of the lease: a test's may differ from that of the election.
        let clock = record.proof.clock
        var longest = Duration.zero
        while true {
            // In this order: a process that is stopped in between sees too much left and checks again, and never sees
            // too little.
            let now = clock.now
            guard let until = record.validUntil else { break }
            longest = max(longest, now.duration(to: until))
            let stop = until.before(min(settings.stopNotice, longest / 4))
            if stop <= now {
                let isLimited = record.limit.map { $0 <= until } ?? false
                return LossReason(isLimited ? .holdLimit : .proofOverdue)
            }
            do { try await clock.sleep(until: stop) } catch { return nil }
        }
        if case .lost(let reason) = record.state { return reason }
        return nil
    }

    /// Waits until the work is seen to make no progress; false when cancelled.
    private func stalls(
        _ health: ElectionSettings.Health.Value, _ onUnhealthy: @escaping @Sendable () async -> Void
    ) async -> Bool {
        switch health {
        case .progress(let limit):
            while true {
                let count = leadership.progress.count
                do { try await clock.sleep(until: clock.now.after(limit)) } catch { return false }
                if leadership.progress.count == count { return true }
            }
        case .probe(let interval, let limit, let isHealthy):
            while true {
                do { try await clock.sleep(until: clock.now.after(interval)) } catch { return false }
                // It may never answer, and is not waited for.
                let deadline = clock.now.after(limit)
                let timer = Task { [clock] in
                    do { try await clock.sleep(until: deadline) } catch { return }
                    await onUnhealthy()
                }
                let answer = await isHealthy()
                timer.cancel()
                if Task.isCancelled { return false }
                if !answer { return true }
            }
        }
    }
}
