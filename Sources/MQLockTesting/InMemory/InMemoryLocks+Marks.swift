public import MQLock

/// The broker keeps what has been done under a lock, as long as the broker lives.
extension InMemoryLocks: MarkKeeping {
    /// The broker's time of day, which moves with its clock, plus this machine's difference.
    public var timeOfDay: Int64 { endpoint.world.timeOfDay + endpoint.ahead.withLock { $0 } }

    /// The last marks of a lock.
    /// - Throws: `LockError`: `unreachable` at the deadline, `cancelled`, `shutDown`.
    public func marks(of name: LockName, within limit: Duration?) async throws(LockError) -> [DoneMark] {
        try await endpoint.ask(.read(name), within: limit)
    }

    /// Keeps a mark of a lock.
    /// - Throws: `LockError`: `outcomeUnknown` at the deadline, `cancelled`, `shutDown`.
    public func write(_ mark: DoneMark, of name: LockName, within limit: Duration?) async throws(LockError) {
        _ = try await endpoint.ask(.write(mark, name), within: limit)
    }
}

extension InMemoryEndpoint {
    /// Asks until there is an answer, over one session after the other.
    fileprivate func ask(_ request: MarkRequest, within limit: Duration?) async throws(LockError) -> [DoneMark] {
        let id = world.post { state, _ in
            state.lastAsk += 1
            return MarkRequest.ID(number: state.lastAsk)
        }
        let giveUp: @Sendable (LockError) -> Void = { [self] error in
            post { client, now in client.handle(.giveUpAsking(id, error), at: now) }
        }
        let deadline = limit.map { world.clock.now.after(max(.zero, $0)) }
        let alarm = deadline.map { deadline in Alarm(at: deadline, on: world.clock) { giveUp(request.overdue) } }
        defer { alarm?.cancel() }
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (asker: Client.Asker) in
                post { client, now in
                    client.ask(request, id, at: now, asker)
                    // A handler or an alarm that ran before this found no one asking; both take the world's lock.
                    if Task.isCancelled { client.handle(.giveUpAsking(id, request.cancelled), at: now) }
                    if let deadline, deadline <= now { client.handle(.giveUpAsking(id, request.overdue), at: now) }
                }
            }
        } onCancel: {
            giveUp(request.cancelled)
        }
        return try result.get()
    }
}

extension MarkRequest {
    fileprivate var overdue: LockError {
        switch self {
        case .read(let name):
            LockError(.unreachable, "the broker did not say in time what has been done under \(name)")
        case .write(_, let name):
            LockError(.outcomeUnknown, "the broker did not confirm in time what has been done under \(name)")
        }
    }

    fileprivate var cancelled: LockError {
        switch self {
        case .read(let name): LockError(.cancelled, "looking for what has been done under \(name) was cancelled")
        case .write(_, let name): LockError(.cancelled, "writing down what has been done under \(name) was cancelled")
        }
    }
}
