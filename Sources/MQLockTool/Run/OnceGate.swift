import MQLock

/// `run --once`: whether the job has been done for its period, and the mark that records it.
struct OnceGate: Sendable {
    let name: LockName
    /// Decided when the command starts, not when the lock is granted: a program that waits while another one does the
    /// job skips it.
    let occurrence: Occurrence
    let marksFailures: Bool
    let keeper: any MarkKeeping

    /// How long a broker may take to answer if no wait was specified.
    static let patience = Duration.seconds(30)

    /// The mark because of which the job is skipped.
    /// - Parameter limit: nil waits until the broker has answered.
    func doneMark(within limit: Duration?) async throws(LockError) -> DoneMark? {
        try occurrence.doneMark(among: try await keeper.marks(of: name, within: limit), of: name)
    }

    /// The mark to keep for a command that has ended by itself; nil when the next program should try.
    /// - Parameter wasAsked: whether it was asked to end. Then a failure says nothing about the job.
    func mark(
        _ status: WaitStatus, of record: LeaseRecord, by owner: String, began: Int64, wasAsked: Bool
    ) -> DoneMark? {
        let isDone = status.signal == nil && status.exitStatus == 0
        guard isDone || (marksFailures && !wasAsked) else { return nil }
        return occurrence.mark(
            isDone ? .completed : .failed, by: owner, under: record.token, began: began, ended: keeper.timeOfDay,
            exitStatus: status.exitStatus)
    }
}

extension RunSession {
    func skip(_ mark: DoneMark) async -> Int32 {
        reporter.skipped(mark, status: options.skipStatus)
        return await finish(options.skipStatus)
    }

    /// Keeps the mark of a command that has ended, while the lock is still held.
    /// - Returns: the exit status; not the command's own when the mark could not be kept.
    func keep(_ ending: RunMachine.Ending, _ held: borrowing HeldLock, began: Int64, status: Int32) async -> Int32 {
        guard let once, case .ended(let waitStatus, _, .own) = ending else { return status }
        let lease = held.lease
        let wasAsked = desk.withLock { $0.passedOn } != nil
        guard
            let mark = once.mark(
                WaitStatus(waitStatus), of: lease.record, by: lease.owner, began: began, wasAsked: wasAsked)
        else { return status }
        do throws(LockError) {
            // The next holder may already be doing the job, and then that holder has to mark it as done.
            try lease.check()
            try await once.keeper.writeWhateverComes(mark, of: options.name)
            reporter.marked(mark)
            return status
        } catch {
            let status = ExitStatus.of(error)
            reporter.unmarked(error, status: status)
            return status
        }
    }
}
