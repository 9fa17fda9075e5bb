import MQLock
import MQLockKafka

/// Prints what a look at the own shards costs, owned and not, and one at a lease:
/// `owns NANOSECONDS NANOSECONDS isValid NANOSECONDS`, each the least of ten rounds.
struct LookCost {
    private let configuration: ShardOwnership.Configuration

    init(_ configuration: ShardOwnership.Configuration) { self.configuration = configuration }

    func measure(count: Int) async throws {
        let ownership = try ShardOwnership(configuration)
        let name: LockName = "customer-42"
        let free = least(count) { ownership.owns(name) }
        let events = ownership.events
        let running = Task { try await ownership.run() }
        for await event in events where event.kind == .owned && ownership.owns(name) { break }
        let owned = least(count) { ownership.owns(name) }
        guard let lease = ownership.lease(for: ownership.shard(of: name)) else { return }
        let valid = least(count) { lease.isValid }
        print("owns \(owned) \(free) isValid \(valid)")
        running.cancel()
        try await running.value
    }

    private func least(_ count: Int, _ look: () -> Bool) -> Int64 {
        (0..<10).map { _ in
            let start = ContinuousClock.now
            var yes = 0
            for _ in 0..<count where look() { yes += 1 }
            let cost = start.duration(to: .now).nanoseconds / Int64(max(1, count))
            // Used, so that no look is optimized away.
            return yes > count ? -1 : cost
        }.min() ?? -1
    }
}
