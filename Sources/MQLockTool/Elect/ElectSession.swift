import MQLock

/// The course of `mqlock elect` through campaigns and leaderships.
struct ElectSession: Sendable {
    let options: ElectOptions
    let election: any Election
    /// Starts a guard for one leadership.
    let start: @Sendable (@escaping @Sendable (RunMachine.Event) -> Void) throws(CommandFailure) -> GuardLink
    /// Where signals go while the command runs.
    let term: Locked<AsyncStream<RunMachine.Event>.Continuation?>
    let desk: Locked<SignalDesk>
    let reporter: RunReporter
    let remains: Remains
    let shutDown: @Sendable () async -> Void
    /// Ends the process when a clean end takes too long.
    let leave: @Sendable (Int32) -> Void

    /// As in `mqlock run`.
    private static let patienceAtEnd = Duration.seconds(5)
    /// How long before the broker passes the leadership on the command is killed.
    private static let killEarly = Duration.milliseconds(200)

    /// Why a leadership is given up so that it can begin again, here or elsewhere.
    private struct CampaignAgain: Error, CustomStringConvertible {
        let description: String
    }

    /// - Returns: the exit status.
    func run() async -> Int32 {
        let outcome = Locked<Int32?>(nil)
        let events = election.events
        let refusal = Locked<String?>(nil)
        let work = Task {
            try await election.run { leadership in
                outcome.withLock { $0 = nil }
                if let status = try await lead(leadership) { outcome.withLock { $0 = status } }
            }
        }
        let listener = Task {
            for await event in events {
                reporter.elected(event)
                if event.kind == .failed { refusal.withLock { $0 = event.error?.message } }
                // The broker's name may be misspelled. A session that was there once comes back.
                if event.kind == .failed, event.error?.code == .unreachable {
                    outcome.withLock { $0 = ExitStatus.unavailable }
                    work.cancel()
                }
                if event.kind == .withdrawn { return }
            }
        }
        let result = await withTaskCancellationHandler {
            await work.result
        } onCancel: {
            work.cancel()
        }
        await listener.value
        let status = status(result, outcome.withLock { $0 }, reported: refusal.withLock { $0 })
        hurry(status)
        await shutDown()
        return status
    }

    private func status(_ result: Result<Void, any Error>, _ outcome: Int32?, reported: String?) -> Int32 {
        if let outcome { return outcome }
        let signal = desk.withLock { $0.cancelledBy ?? $0.passedOn }
        guard case .failure(let error) = result, let error = error as? LockError else {
            return signal.map(ExitStatus.ended(bySignal:)) ?? ExitStatus.success
        }
        let status = ExitStatus.of(error, cancelledBy: signal)
        reporter.failed(error.message, status: status, isReported: error.message == reported)
        return status
    }

    /// Exits with this status if the rest takes too long.
    private func hurry(_ status: Int32) {
        Task.detached { [leave] in
            try? await Task.sleep(for: Self.patienceAtEnd)
            leave(status)
        }
    }

    // MARK: Leading

    /// Runs the command.
    /// - Returns: the exit status; nil when the leadership has been lost, or an end was requested.
    /// - Throws: when there is to be another campaign.
    private func lead(_ leadership: Leadership) async throws -> Int32? {
        guard desk.withLock({ $0.begin() }) else { return nil }
        let (events, continuation) = AsyncStream.makeStream(of: RunMachine.Event.self)
        let link: GuardLink
        do throws(CommandFailure) {
            link = try start { continuation.yield($0) }
        } catch {
            reporter.failed(error.message, status: error.status)
            return error.status
        }
        term.withLock { $0 = continuation }
        let record = leadership.lease.record
        record.info = options.run.info
        record.onLoss { reason in
            continuation.yield(.lost(reason: reason.description, killAt: killAt(link, leadership)))
        }
        let command = GuardedCommand(
            options: options.run, link: link, events: events, reporter: reporter, remains: remains)
        let following = Task { [options = options.run] in
            var machine = RunMachine(lossSignal: options.lossSignal, killAfter: options.killAfter)
            let ending = link.start(record) ? await command.follow(&machine) : .expired
            return (ending, machine)
        }
        let (ending, machine) = await withTaskCancellationHandler {
            await following.value
        } onCancel: {
            let reason = leadership.end?.reason?.description ?? "the leadership has ended"
            continuation.yield(.lost(reason: reason, killAt: killAt(link, leadership)))
        }
        term.withLock { $0 = nil }
        desk.withLock { $0.end() }
        link.close()
        command.note(ending, hasSurvivors: machine.hasSurvivors)

        let status = machine.exitStatus(ending, lostAt: record.lostAt)
        if status == ExitStatus.survived { return status }
        if desk.withLock({ $0.passedOn }) != nil {
            // It was asked to end, however it ended.
            if status == ExitStatus.lost { return nil }
            return status
        }
        let mayRestart = options.restart && status != ExitStatus.success
        switch ending {
        case .ended where status == ExitStatus.lost, .expired: break
        case .ended where mayRestart: break
        case .ended, .notExecuted, .survived, .guardLost: return status
        }
        guard desk.withLock({ $0.waitAgain() }) else { return nil }
        throw CampaignAgain(
            description: status == ExitStatus.lost ? "its proof ran out" : "the command ended with \(status)")
    }

    /// Until when the command may live after it was asked to end.
    private func killAt(_ link: GuardLink, _ leadership: Leadership) -> Int64 {
        let killAt = link.killAt(after: options.run.killAfter)
        guard let endsBy = leadership.endsBy else { return killAt }
        return min(killAt, BootClock.nanoseconds(endsBy.before(Self.killEarly)))
    }
}

extension RunReporter {
    /// Reports the candidate's events, beside the command.
    func elected(_ event: ElectionEvent) {
        let fence = event.fencingToken?.description
        switch event.kind {
        case .campaigning: tell("campaigning", "campaigning for \(name)")
        case .elected:
            tell("elected", "leading \(name), fencing token \(fence ?? "")") { $0.add("fence", fence) }
        case .ended:
            let reason = event.end?.description
            tell("ended", "leads \(name) no more: \(reason ?? "")") {
                $0.add("fence", fence)
                $0.add("reason", reason)
                $0.add("held", event.duration)
            }
        case .resting:
            tell("resting", "campaigns again in \(event.duration?.readable ?? "")") { $0.add("delay", event.duration) }
        case .overdue: tell("overdue", "the command has not ended in time", always: true)
        case .failed:
            tell("refused", event.error?.message ?? "", always: true) { $0.add("message", event.error?.message) }
        default: break
        }
    }
}
