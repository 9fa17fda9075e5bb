import MQLock

/// Owners read from other members' claims; dropped soon, and at every rebalance.
final class LastOwners: Sendable {
    struct Entry: Equatable, Sendable {
        var owner: String?
        var until: ContinuousClock.Instant
    }

    typealias Answer = @Sendable (String?) -> Void

    private struct State {
        var entries: [Int32: Entry] = [:]
        var rebalances: UInt64 = 0
        /// Callers that wait for the current read of a shard.
        var waiting: [Int32: [Answer]] = [:]
    }

    /// A new owner's claim follows its assignment, so a read right after a rebalance may find its predecessor's.
    static let lifetime = Duration.seconds(3)
    private let state = Locked(State())

    /// The number of the rebalance, for ``remember(_:_:_:now:)``.
    var rebalance: UInt64 { state.withLock { $0.rebalances } }

    func find(_ shard: Int32, now: ContinuousClock.Instant) -> Entry? {
        state.withLock { $0.entries[shard].flatMap { $0.until > now ? $0 : nil } }
    }

    /// Waits for the read of a shard. However many callers ask, one reads: claims use the same thread.
    /// - Returns: whether the caller has to begin the read, and to call ``answer(_:_:)`` after it.
    func wait(for shard: Int32, _ answer: @escaping Answer) -> Bool {
        state.withLock { state in
            state.waiting[shard, default: []].append(answer)
            return state.waiting[shard]?.count == 1
        }
    }

    /// The read of a shard has ended.
    func answer(_ shard: Int32, _ owner: String?) {
        let waiting = state.withLock { $0.waiting.removeValue(forKey: shard) ?? [] }
        for answer in waiting { answer(owner) }
    }

    /// Keeps what was read, unless the group has been rebalanced since the read began.
    func remember(_ shard: Int32, _ owner: String?, _ rebalance: UInt64, now: ContinuousClock.Instant) {
        state.withLock { state in
            guard state.rebalances == rebalance else { return }
            state.entries[shard] = Entry(owner: owner, until: now.after(Self.lifetime))
        }
    }

    func forget() {
        state.withLock { state in
            state.rebalances += 1
            state.entries = [:]
        }
    }
}
