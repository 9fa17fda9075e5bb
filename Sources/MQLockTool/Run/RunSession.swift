import MQLock

/// The course of `mqlock run` through acquire, hold and release.
struct RunSession: Sendable {
    let options: RunOptions
    let provider: any LockProvider
    let link: GuardLink
    let events: AsyncStream<RunMachine.Event>
    let continuation: AsyncStream<RunMachine.Event>.Continuation
    let desk: Locked<SignalDesk>
    let reporter: RunReporter
    let remains: Remains
    /// With `--once`.
    var once: OnceGate?
    /// The contender that says that it holds the lock; the argument limits the wait. Nil when nobody answers.
    var whoHolds: @Sendable (Duration) async -> LockContender? = { _ in nil }
    let shutDown: @Sendable () async -> Void
    /// Ends the process when a clean end takes too long.
    let leave: @Sendable (Int32) -> Void

    /// When the command has ended there is no reason to wait for a broker that does not answer; our end frees the lock
    /// too.
    private static let patienceAtEnd = Duration.seconds(5)
    /// How long to wait for the holder's answer.
    private static let question = Duration.milliseconds(500)

    /// - Returns: the exit status.
    func run() async -> Int32 {
        let start = ContinuousClock.now
        let status: Int32
        do throws(LockError) {
            // Most programs that come later need no lock.
            if let mark = try await once?.doneMark(within: options.patienceToLook) { return await skip(mark) }
            switch options.patience {
            case .none:
                guard let held = try await provider.tryAcquire(options.name) else {
                    let holder = await HolderQuestion(start: .zero, limit: Self.question, ask: ask).answer(
                        atOnce: false)
                    reporter.taken(
                        "the lock \(options.name) is taken", status: options.conflictStatus, holder: holder)
                    return await finish(options.conflictStatus)
                }
                status = await hold(held, since: start)
            case .unlimited:
                reporter.waiting()
                status = await hold(try await provider.acquire(options.name, within: nil), since: start)
            case .within(let limit):
                reporter.waiting()
                status = try await wait(max(.zero, limit - start.duration(to: .now)), since: start)
            }
        } catch {
            status = notObtained(error)
        }
        return await finish(status)
    }

    /// Asks for the holder in the last moments of the wait, so that the limit is not exceeded.
    private func wait(_ limit: Duration, since start: ContinuousClock.Instant) async throws(LockError) -> Int32 {
        let lead = min(Self.question, limit / 2)
        let question = HolderQuestion(start: limit - lead, limit: lead, ask: ask)
        let held: HeldLock
        do throws(LockError) {
            held = try await provider.acquire(options.name, within: limit)
        } catch {
            let holder = await question.answer(atOnce: true)
            guard error.code == .timedOut else { throw error }
            reporter.taken(error.message, status: options.conflictStatus, holder: holder)
            return options.conflictStatus
        }
        question.stop()
        return await hold(held, since: start)
    }

    private var ask: (@Sendable (Duration) async -> LockContender?)? { reporter.wantsHolder ? whoHolds : nil }

    private func notObtained(_ error: LockError) -> Int32 {
        let signal = desk.withLock { $0.cancelledBy }
        let status = ExitStatus.of(error, conflict: options.conflictStatus, cancelledBy: signal)
        let message = signal.map { "\(SignalName.text($0)) while waiting for the lock \(options.name)" }
        reporter.failed(error.code == .cancelled ? message ?? error.message : error.message, status: status)
        return status
    }

    func finish(_ status: Int32) async -> Int32 {
        hurry(status)
        await shutDown()
        return status
    }

    /// Exits with this status if the rest takes too long.
    private func hurry(_ status: Int32) {
        Task.detached { [leave] in
            try? await Task.sleep(for: Self.patienceAtEnd)
            leave(status)
        }
    }

    // MARK: Holding

    private func hold(_ held: consuming HeldLock, since start: ContinuousClock.Instant) async -> Int32 {
        let record = held.lease.record
        record.info = options.info
        do throws(LockError) {
            if let mark = try await once?.doneMark(within: OnceGate.patience) {
                try? await held.release()
                reporter.skipped(mark, status: options.skipStatus)
                return options.skipStatus
            }
        } catch {
            try? await held.release()
            return notObtained(error)
        }
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
        let began = WallClock.now
        let ending = link.start(record) ? await command.follow(&machine) : .expired
        desk.withLock { $0.end() }
        link.end()
        command.note(ending, hasSurvivors: machine.hasSurvivors)

        let kept = await keep(
            ending, held, began: began, status: machine.exitStatus(ending, lostAt: record.lostAt))
        hurry(kept)
        do throws(LockError) {
            try await held.release()
            reporter.released(held: record.heldFor)
        } catch {
            if error.code != .lost { reporter.failed(error.message, status: ExitStatus.internalError) }
        }
        let ended = machine.exitStatus(ending, lostAt: record.lostAt)
        let status = ended == ExitStatus.lost ? ended : kept
        if ended == ExitStatus.lost, !machine.isLost {
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
