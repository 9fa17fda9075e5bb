import MQLock

/// One contender for several locks in a task of its own, which keeps them until it is asked to release or drop them.
final class MultiContender: Sendable {
    private enum Command { case release, drop }

    private let outcomes = Replay<Result<MultiLease?, LockError>>()
    private let endings = Replay<LockError?>()
    private let commands: AsyncStream<Command>.Continuation
    private let task: Task<Void, Never>

    init(_ provider: any LockProvider, _ names: [LockName], within limit: Duration? = nil, once: Bool = false) {
        let (stream, commands) = AsyncStream.makeStream(of: Command.self)
        self.commands = commands
        let lock = MultiLock(names, on: provider)
        task = Task { [outcomes, endings] in
            do throws(LockError) {
                guard let held = try await Self.take(lock, limit, once) else {
                    outcomes.send(.success(nil))
                    return
                }
                outcomes.send(.success(held.leases))
                // Not in this task: the contender's cancellation is over when it holds.
                let command = await Task { await stream.first { _ in true } }.value
                if command == .release {
                    endings.send(await Self.error(ofReleasing: held))
                } else {
                    _ = consume held
                    endings.send(nil)
                }
            } catch {
                outcomes.send(.failure(error))
            }
        }
    }

    private static func take(
        _ lock: MultiLock, _ limit: Duration?, _ once: Bool
    ) async throws(LockError) -> HeldLocks? {
        once ? try await lock.tryAcquire() : try await lock.acquire(within: limit)
    }

    private static func error(ofReleasing held: consuming HeldLocks) async -> LockError? {
        do throws(LockError) {
            try await held.release()
            return nil
        } catch {
            return error
        }
    }

    func cancel() { task.cancel() }

    /// The result of the attempt.
    func result() async throws -> Result<MultiLease?, LockError> {
        guard let outcome = await outcomes.first(where: { _ in true }) else { throw CancellationError() }
        return outcome
    }

    /// The leases once granted; throws what the attempt threw.
    func leases() async throws -> MultiLease {
        guard let leases = try await result().get() else { throw Unmet("a try found one of the locks taken") }
        return leases
    }

    /// Begins to release; ``ended()`` reports when that is done.
    func beginRelease() { commands.yield(.release) }

    /// Drops the held locks without a release.
    func drop() { commands.yield(.drop) }

    /// The error of the release, once it has been asked for and is done.
    func ended() async throws -> LockError? {
        guard let error = await endings.first(where: { _ in true }) else { throw CancellationError() }
        return error
    }
}

extension Bench {
    /// Releases locks that are still held.
    func release(_ contender: MultiContender) async throws {
        contender.beginRelease()
        if let error = try await within("a release", contender.ended) { throw error }
    }

    /// Acquires and releases all of the names, which have to be free.
    func requireFree(_ names: [LockName], _ seat: Seat, _ when: String) async throws {
        let next = MultiContender(seat.provider, names)
        _ = try await within("the locks \(when)") { try await next.leases() }
        try await release(next)
    }

    func names(_ count: Int) -> [LockName] { (0..<count).map { _ in subject.makeName() } }
}

/// Which holders are inside which name, and what they saw.
final class HoldWatch: Sendable {
    private let recorders: [HistoryRecorder]
    private let inside = Locked<[LockName: String]>([:])
    private let overlaps = Locked<[String]>([])

    init(seats: Int, clock: any LockClock) {
        recorders = (0..<seats).map { HistoryRecorder(process: "process \($0)", clock: clock) }
    }

    /// Records the leases over `body`. A second holder in there is an overlap as long as one's own lease is valid.
    func hold(
        _ leases: [Lease], seat: Int, who: String, _ body: () async throws -> Void
    ) async rethrows {
        let recorder = recorders[seat]
        for lease in leases { recorder.recordGrant(of: lease, contender: who) }
        let others = inside.withLock { inside in
            leases.compactMap { lease in inside.updateValue("\(seat)/\(who)", forKey: lease.name) }
        }
        if !others.isEmpty, leases.allSatisfy(\.isValid) {
            overlaps.withLock { $0.append("\(seat)/\(who) came to \(others)") }
        }
        defer {
            inside.withLock { inside in
                for lease in leases where inside[lease.name] == "\(seat)/\(who)" { inside[lease.name] = nil }
            }
            for lease in leases { recorder.recordEnd(of: lease, contender: who) }
        }
        try await body()
    }

    /// - Parameter losses: whether leases were lost. A holder that notices that late is still inside when the next one
    ///   comes; the history distinguishes that from an overlap.
    func check(losses: Bool = false) throws {
        let seen = overlaps.withLock { $0 }
        if !losses, let first = seen.first { throw Unmet("\(seen.count) overlaps: \(first)") }
        let verdict = HistoryChecker().check(recorders.flatMap(\.events))
        if let first = verdict.violations.first { throw Unmet("\(verdict.violations.count) violations: \(first)") }
        guard verdict.statistics.grants > 0 else { throw Unmet("nothing was recorded") }
    }
}
