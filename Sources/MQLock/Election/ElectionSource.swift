/// What a candidate needs from a broker.
package protocol ElectionSource: Sendable {
    /// What is led.
    var name: LockName { get }
    /// Whether candidates are served first come, first served; then campaigning again means standing behind all others.
    var hasLine: Bool { get }

    /// Waits until elected; as ``LockProvider/acquire(_:within:)``.
    func acquire(within limit: Duration?) async throws(LockError) -> HeldLock

    /// Calls `handler` when the broker asks for the leadership while its proof still stands, with the instant at which
    /// the broker will hand it to someone else.
    func onRecall(_ lease: Lease, _ handler: @escaping @Sendable (LossReason, ContinuousClock.Instant?) -> Void)

    /// Lets other candidates past: this one does not campaign for now, and has released.
    func leave() async

    /// Returns when a leader with a larger token has been seen; never where that cannot be seen, until cancelled.
    func successor(of token: FencingToken) async

    /// Who leads; nil where only the candidate itself can be seen.
    func observe() -> AsyncThrowingStream<Leader?, any Error>?
}

/// Elections over locks: the holder of the lock leads.
struct ProviderSource: ElectionSource {
    let name: LockName
    let provider: any LockProvider
    let inspector: (any LockInspector)?

    var hasLine: Bool { provider.capabilities.firstComeFirstServed }

    func acquire(within limit: Duration?) async throws(LockError) -> HeldLock {
        try await provider.acquire(name, within: limit)
    }

    func onRecall(_ lease: Lease, _ handler: @escaping @Sendable (LossReason, ContinuousClock.Instant?) -> Void) {}

    func leave() async {}

    func successor(of token: FencingToken) async {
        let changes = inspector?.changes(of: name)
        do {
            if let changes {
                for try await change in changes {
                    if let other = change.contender.fencingToken, other > token { return }
                }
            }
        } catch {}
        while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
    }

    func observe() -> AsyncThrowingStream<Leader?, any Error>? {
        guard let changes = inspector?.changes(of: name) else { return nil }
        return AsyncThrowingStream(bufferingPolicy: .bufferingNewest(1024)) { continuation in
            let task = Task {
                var view = LeaderView()
                do {
                    for try await change in changes {
                        if let leader = view.changed(change) { continuation.yield(leader) }
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }
}

/// Who leads, going by what is reported about holders. A pure value.
package struct LeaderView: Sendable {
    private var leader: Leader?

    package init() {}

    /// The leader, or its absence, if the change made it different from before.
    package mutating func changed(_ change: LockChange) -> Leader?? {
        guard let token = change.contender.fencingToken, change.contender.role == .holder else { return nil }
        let before = leader
        switch change.kind {
        case .held, .granted, .silent:
            if let before, token < before.fencingToken { return nil }
            leader = Leader(
                owner: change.contender.owner, fencingToken: token, since: change.contender.since,
                isAnswering: change.kind != .silent)
        case .released, .lost:
            guard before?.fencingToken == token else { return nil }
            leader = nil
        default: return nil
        }
        return leader == before ? nil : .some(leader)
    }
}
