extension MarkKeeping {
    /// Does a job once in a period: the first program to come does it, under the lock; later ones skip it.
    ///
    /// A lock alone does not do that: three programs that acquire `nightly-report` in turn run it three times. So a
    /// mark is written before the lock is released, and looked up before and after it is acquired. The period is
    /// decided when this is called: a program that waits while another one does the job skips it, even when the next
    /// period has begun meanwhile.
    ///
    /// The job is done *at least once*: a holder that dies between the end of the job and its mark leaves none, and the
    /// next one does it again. To make that *exactly once*, give the lease's ``Lease/fencingToken`` or the period's key
    /// to the resource, as in <doc:OncePerPeriod>.
    ///
    /// A job that throws is not marked, so the next program tries. A job that is done is marked even when the calling
    /// task has been cancelled meanwhile, but not when the lock has been lost.
    /// - Parameters:
    ///   - name: what to lock. One name is for one job.
    ///   - period: the period in which to do the job once.
    ///   - limit: how long to wait for the lock, and for the broker, at most; `nil` waits until granted.
    ///   - marksFailures: whether a job that throws counts as done. It does not when the task has been cancelled.
    ///   - body: the job; it gets the lease, and its task is cancelled when the lock is lost.
    /// - Returns: what the body returned, or the mark for which it was skipped.
    /// - Throws: ``LockError`` as ``LockProvider/withLock(_:within:_:)-(LockName,_,_)``: with code ``LockError/Code/lost`` the job
    ///   may be done, and may or may not be marked. As ``write(_:of:within:)`` when the job is done and could not be marked: it
    ///   will be done again. With code ``LockError/Code/invalidConfiguration`` when the last mark is more than a day ahead of this
    ///   machine's clock. Else what the body threw.
    public func once<R: Sendable>(
        _ name: LockName, for period: Period, within limit: Duration? = nil, marksFailures: Bool = false,
        _ body: @escaping @Sendable (Lease) async throws -> R
    ) async throws -> OnceResult<R> {
        let occurrence = try Occurrence(period, at: timeOfDay)
        let deadline = limit.map { clock.now.after(max(.zero, $0)) }
        // Most of those that come later need no lock.
        let before = try await marks(of: name, within: limit)
        if let mark = try occurrence.doneMark(among: before, of: name) { return .skipped(mark) }
        let left = deadline.map { max(.zero, clock.now.duration(to: $0)) }
        return try await withLock(name, within: left) { lease in
            let marks = try await marks(of: name, within: nil)
            if let mark = try occurrence.doneMark(among: marks, of: name) { return .skipped(mark) }
            let began = timeOfDay
            let result: Result<R, any Error>
            do {
                result = .success(try await body(lease))
            } catch {
                let counts = marksFailures && !Task.isCancelled && lease.isValid && !(error is TickIsOver)
                guard counts else { throw error }
                result = .failure(error)
            }
            // After a loss the next holder may be doing the job: only that holder can say that it is done.
            try lease.check()
            let mark = occurrence.mark(
                result.isSuccess ? .completed : .failed, by: lease.owner, under: lease.fencingToken, began: began,
                ended: timeOfDay)
            try await writeWhateverComes(mark, of: name)
            return .done(try result.get())
        }
    }

    /// Writes a mark whatever happens to the calling task: the job is done, and must not be done again. Tries for a
    /// minute, because the session may have to be started again.
    /// - Throws: ``LockError`` as ``write(_:of:within:)-(LockName,_,_)``.
    package func writeWhateverComes(_ mark: DoneMark, of name: LockName) async throws(LockError) {
        let written = await Task { () async -> Result<Void, LockError> in
            do throws(LockError) {
                return .success(try await write(mark, of: name, within: .seconds(60)))
            } catch {
                return .failure(error)
            }
        }.value
        try written.get()
    }
}

extension Result {
    fileprivate var isSuccess: Bool { if case .success = self { true } else { false } }
}
