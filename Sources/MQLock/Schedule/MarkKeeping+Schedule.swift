extension MarkKeeping {
    /// Does a job at each tick of a schedule: the first program to come does it, under the lock, and marks the tick;
    /// the others skip it. There is no leader.
    ///
    /// Runs until its task is cancelled. A tick can be started until the next one is due; until then it is tried again
    /// when the broker cannot be reached or the lock is lost. A job that throws does not end the schedule, and this
    /// program does not try it again before the next tick. Others that wait for the lock do try it, unless failures are
    /// marked.
    ///
    /// Like ``once(_:for:within:marksFailures:_:)-(LockName,_,_,_,_)`` it does each tick's job at least once, and
    /// exactly once without faults. See <doc:Schedules> for clocks, and for the cost.
    /// - Parameters:
    ///   - name: what to lock. One name is for one job and one schedule.
    ///   - schedule: the times.
    ///   - missed: what happens to ticks that could not be started in time.
    ///   - marksFailures: whether a tick whose job throws counts as done.
    ///   - body: the job; its task is cancelled when the lock is lost.
    ///   - onEvent: receives what happens, including errors of the job. The schedule waits until it returns.
    /// - Throws: ``LockError`` when a retry makes no sense, such as when the provider was shut down or the broker
    ///   refuses access. Not when the task is cancelled: then it returns when the job has ended.
    public func schedule(
        _ name: LockName, _ schedule: Schedule, missed: MissedTicks = .skip, marksFailures: Bool = false,
        _ body: @escaping @Sendable (Tick) async throws -> Void,
        onEvent: @escaping @Sendable (ScheduleEvent) -> Void = { _ in }
    ) async throws {
        try await ScheduledJob(
            locks: self, name: name, schedule: schedule, marksFailures: marksFailures, body: body, onEvent: onEvent
        ).run(missed)
    }
}

/// The shell around a ``TickCursor``: it waits, does what is due, and reports.
private struct ScheduledJob: Sendable {
    let locks: any MarkKeeping
    let name: LockName
    let schedule: Schedule
    let marksFailures: Bool
    let body: @Sendable (Tick) async throws -> Void
    let onEvent: @Sendable (ScheduleEvent) -> Void

    /// The longest time until a changed clock is noticed. A suspended machine wakes sleeping tasks when it resumes.
    private static let longestSleep: Int64 = 30_000

    func run(_ missed: MissedTicks) async throws {
        var cursor = TickCursor(schedule, missed, at: timeOfDay)
        while !Task.isCancelled {
            let now = timeOfDay
            switch cursor.step(at: now) {
            case .wait(let next):
                let left = next.map { min($0 - now, Self.longestSleep) } ?? Self.longestSleep
                await sleep(.milliseconds(left))
            case .miss(let tick): tell(.missed, tick)
            case .run(let tick):
                try await work(tick)
                if let newest = cursor.ended(tick, at: timeOfDay), !Task.isCancelled { tell(.missed, newest) }
            }
        }
    }

    /// Returns when the tick has been done, by any program, or will not be; or when the task is cancelled.
    private func work(_ tick: Int64) async throws {
        let backoff = GrowingDelay(.milliseconds(100) ... .seconds(30))
        var attempt = 0
        while !Task.isCancelled {
            guard !isOver(tick) else { return tell(.missed, tick) }
            let trial = Locked(Trial())
            do {
                return try await once(tick, trial)
            } catch is TickIsOver {
                return tell(.missed, tick)
            } catch {
                guard !Task.isCancelled else { return }
                switch trial.withLock({ $0.verdict(error) }) {
                case .failed(let error): return tell(.failed, tick, error: error)
                case .refused: throw error
                case .mayRetry:
                    tell(.retrying, tick, error: error)
                    attempt += 1
                    await sleep(backoff.delay(before: attempt))
                }
            }
        }
    }

    private func once(_ tick: Int64, _ trial: Locked<Trial>) async throws {
        let result = try await locks.once(name, for: Period(.tick(tick)), marksFailures: marksFailures) { lease in
            guard !isOver(tick) else { throw TickIsOver() }
            tell(.began, tick, token: lease.fencingToken)
            do {
                try await body(Tick(time: tick, lease: lease))
            } catch {
                trial.withLock { ($0.lease, $0.error) = (lease, error) }
                throw error
            }
        }
        if let mark = result.mark { tell(.skipped, tick, mark: mark) } else { tell(.done, tick) }
    }

    private var timeOfDay: Int64 { Occurrence.bounded(locks.timeOfDay) }

    /// Whether the next tick is due.
    private func isOver(_ tick: Int64) -> Bool { schedule.next(after: tick).map { $0 <= timeOfDay } ?? false }

    private func sleep(_ duration: Duration) async {
        try? await locks.clock.sleep(until: locks.clock.now.after(duration))
    }

    private func tell(
        _ kind: ScheduleEvent.Kind, _ tick: Int64, token: FencingToken? = nil, mark: DoneMark? = nil,
        error: (any Error)? = nil
    ) {
        onEvent(
            ScheduleEvent(
                kind: kind, tick: tick, instant: locks.clock.now, fencingToken: token, mark: mark, error: error))
    }
}

/// The result of one try of a tick.
private struct Trial {
    enum Verdict {
        case failed(any Error)
        case mayRetry
        case refused
    }

    /// Of a job that threw.
    var lease: Lease?
    var error: (any Error)?

    func verdict(_ thrown: any Error) -> Verdict {
        // A job's own error may look like one of the lock's.
        if let error, let lease, !lease.isLost { return .failed(error) }
        switch (thrown as? LockError)?.code {
        case .unreachable?, .limitExceeded?, .timedOut?, .lost?, .notOwner?: return .mayRetry
        // Done, and perhaps not marked; or a mark from a clock that is far ahead.
        case .outcomeUnknown?, .invalidConfiguration?: return .failed(thrown)
        default: return .refused
        }
    }
}

extension Lease {
    fileprivate var isLost: Bool { if case .lost = record.state { true } else { false } }
}
