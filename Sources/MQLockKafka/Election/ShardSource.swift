import MQLock

/// Elections over the ownership of a shard: a member of the group while it is a candidate, and only then.
final class ShardSource: ElectionSource {
    let name: LockName
    /// A member that joins again is served last (see ``join()``), but only if the assigning member keeps that order.
    let hasLine = false
    private let configuration: ShardOwnership.Configuration
    private let shard: Int32

    private struct Membership: Sendable {
        let ownership: ShardOwnership
        let running: Task<LockError?, Never>
    }
    private let membership = Locked<Membership?>(nil)

    init(_ configuration: ShardOwnership.Configuration, name: LockName, shard: Int32) {
        (self.configuration, self.name, self.shard) = (configuration, name, shard)
    }

    deinit { membership.withLock { $0 }?.running.cancel() }

    /// Whether the group has accepted this candidate, and has made an assignment since.
    var isInLine: Bool {
        guard let board = membership.withLock({ $0 })?.ownership.board else { return false }
        return board.hold(shard) != nil || board.standing(of: shard) == .elsewhere
    }

    func acquire(within limit: Duration?) async throws(LockError) -> HeldLock {
        let deadline = limit.map { ContinuousClock.now.after($0) }
        let membership = try join()
        let (hold, record) = try await membership.ownership.board.grant(
            name, of: shard, leads: true, until: deadline, waitingFor: "another candidate leads"
        ) { standing throws(LockError) in
            guard standing == .over else { return }
            self.membership.withLock { if $0?.ownership === membership.ownership { $0 = nil } }
            throw await membership.running.value
                ?? LockError(.unreachable, "the membership of the group for \(name) has ended")
        }
        return hold.held(record)
    }

    private func join() throws(LockError) -> Membership {
        try membership.withLock { membership throws(LockError) in
            if let membership { return membership }
            var configuration = configuration
            // The broker makes the member id from this, and the assignor gives the first partition to the smallest id:
            // the candidate that has been there longest. So newcomers interrupt the leader, but do not replace it.
            configuration.connection.clientID += "-\(UInt64(max(0, WallClock.now)).hexadecimal(12))"
            let ownership = try ShardOwnership(configuration)
            let joined = Membership(
                ownership: ownership,
                running: Task {
                    do throws(LockError) {
                        try await ownership.run()
                        return nil
                    } catch {
                        return error
                    }
                })
            membership = joined
            return joined
        }
    }

    func onRecall(_ lease: Lease, _ handler: @escaping @Sendable (LossReason, ContinuousClock.Instant?) -> Void) {
        let reason = LossReason(.partitionRevoked)
        guard let hold = membership.withLock({ $0 })?.ownership.board.hold(of: lease.record) else {
            return handler(reason, nil)
        }
        hold.onDrain(lease.record) { [weak hold] in handler(reason, hold?.drainUntil) }
    }

    func leave() async {
        let last = membership.withLock { membership in
            defer { membership = nil }
            return membership
        }
        last?.running.cancel()
        _ = await last?.running.value
    }

    // MARK: Inspection

    func successor(of token: FencingToken) async {
        do {
            for try await leader in watch() {
                if let leader, leader.fencingToken > token { return }
            }
        } catch {}
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
    }

    func observe() -> AsyncThrowingStream<Leader?, any Error>? { watch() }

    func watch() -> AsyncThrowingStream<Leader?, any Error> {
        AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1024)) { [configuration, shard] continuation in
            let watch = ClaimWatch(configuration, shard: shard)
            let task = Task {
                do {
                    var last: Leader??
                    while true {
                        let leader = try await watch.look()
                        if last == nil || last != .some(leader) { continuation.yield(leader) }
                        last = .some(leader)
                        try await Task.sleep(for: .milliseconds(250))
                    }
                } catch {
                    continuation.finish(throwing: error is CancellationError ? nil : error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }
}
