import MQLock

/// The way of `mqlock run` through acquire, hold and release.
struct RunSession: Sendable {
    let options: RunOptions
    let provider: any LockProvider
    let link: GuardLink
    let events: AsyncStream<RunMachine.Event>
    let continuation: AsyncStream<RunMachine.Event>.Continuation
    let desk: Locked<SignalDesk>
    let reporter: RunReporter
    let remains: Remains
    let shutDown: @Sendable () async -> Void
    /// Ends the process when the orderly way takes too long.
    let leave: @Sendable (Int32) -> Void

    /// When the command has ended nobody wants to wait for a broker that does not answer; our end frees the lock too.
    private static let patienceAtEnd = Duration.seconds(5)

    /// - Returns: the exit status.
    func run() async -> Int32 {
        let start = ContinuousClock.now
        let status: Int32
        do throws(LockError) {
            switch options.patience {
            case .none:
                guard let held = try await provider.tryAcquire(options.name) else {
                    reporter.failed("the lock \(options.name) is taken", status: options.conflictStatus)
                    return await finish(options.conflictStatus)
                }
                status = await hold(held, since: start)
            case .unlimited:
                reporter.waiting()
                status = await hold(try await provider.acquire(options.name, within: nil), since: start)
            case .within(let limit):
                reporter.waiting()
                status = await hold(try await provider.acquire(options.name, within: limit), since: start)
            }
        } catch {
            status = notObtained(error)
        }
        return await finish(status)
    }

    private func notObtained(_ error: LockError) -> Int32 {
        let signal = desk.withLock { $0.cancelledBy }
        let status = ExitStatus.of(error, conflict: options.conflictStatus, cancelledBy: signal)
        let message = signal.map { "\(SignalName.text($0)) while waiting for the lock \(options.name)" }
        reporter.failed(error.code == .cancelled ? message ?? error.message : error.message, status: status)
        return status
    }

    private func finish(_ status: Int32) async -> Int32 {
        hurry(status)
        await shutDown()
        return status
    }

    /// Exits with this status if what follows takes too long.
    private func hurry(_ status: Int32) {
        Task.detached { [leave] in
            try? await Task.sleep(for: Self.patienceAtEnd)
            leave(status)
        }
    }

    // MARK: Holding

    private func hold(_ held: consuming HeldLock, since start: ContinuousClock.Instant) async -> Int32 {
        let record = held.lease.record
        guard desk.withLock({ $0.begin() }) else {
            try? await held.release()
            return notObtained(.cancelled(options.name))
        }
        reporter.granted(record.token, waited: start.duration(to: record.grantedAt))
        record.onLoss { [link, continuation, grace = options.killAfter] reason in
            continuation.yield(.lost(reason: reason.description, killAt: link.killAt(after: grace)))
        }
        var machine = RunMachine(lossSignal: options.lossSignal, killAfter: options.killAfter)
        let command = GuardedCommand(
            options: options, link: link, events: events, reporter: reporter, remains: remains)
        let ending = link.start(record) ? await command.follow(&machine) : .expired
        desk.withLock { $0.end() }
        link.end()
        command.note(ending, hasSurvivors: machine.hasSurvivors)

        hurry(machine.exitStatus(ending, lostAt: record.lostAt))
        do throws(LockError) {
            try await held.release()
            reporter.released(held: record.heldFor)
        } catch {
            if error.code != .lost { reporter.failed(error.message, status: ExitStatus.internalError) }
        }
        let status = machine.exitStatus(ending, lostAt: record.lostAt)
        if status == ExitStatus.lost, !machine.isLost {
            reporter.lost("its proof ran out while nobody here could look")
        }
        return status
    }
}

extension LeaseRecord {
    /// When the lease was lost, if it was, on the guard's clock.
    var lostAt: Int64? {
        guard case .lost = state else { return nil }
        return endedAt.map(BootClock.nanoseconds)
    }
}
