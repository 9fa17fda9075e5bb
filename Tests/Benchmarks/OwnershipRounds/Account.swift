import Foundation
import MQLockTesting

/// Who owns what, by what the members have written so far.
final class Account: @unchecked Sendable {
    private struct Entry {
        let member: Int
        let sighting: Sighting
    }

    private let changed = NSCondition()
    private var entries: [Entry] = []
    private var owned: [Int: Set<Int>] = [:]
    private var joined: [Int: UInt64] = [:]
    private let shards: Int

    private static let patience: TimeInterval = 120

    init(shards: Int) { self.shards = shards }

    func add(_ member: Int, _ sighting: Sighting) {
        changed.lock()
        defer { changed.unlock() }
        entries.append(Entry(member: member, sighting: sighting))
        switch sighting.what {
        case .joins: joined[member] = sighting.at
        case .owned: owned[member, default: []].insert(sighting.shard)
        case .ended: owned[member]?.remove(sighting.shard)
        }
        changed.broadcast()
    }

    /// A member was killed now, and owns nothing any more.
    func kill(_ member: Int) {
        changed.lock()
        let held = owned[member] ?? []
        changed.unlock()
        let now = HistoryClock.now
        for shard in held { add(member, Sighting(.ended, shard, at: now)) }
    }

    /// When a member began to join; nil before.
    func joining(_ member: Int) -> UInt64? {
        changed.lock()
        defer { changed.unlock() }
        return joined[member]
    }

    /// Waits until these members own all shards, each as many as any other, give or take one.
    func settle(_ members: [Int]) throws {
        let deadline = Date(timeIntervalSinceNow: Self.patience)
        changed.lock()
        defer { changed.unlock() }
        while !isSettled(members) {
            guard changed.wait(until: deadline) else {
                throw Failure("the shards were not shared out in \(Int(Self.patience)) s: \(owned.mapValues(\.count))")
            }
        }
    }

    private func isSettled(_ members: [Int]) -> Bool {
        let counts = members.map { owned[$0]?.count ?? 0 }
        let others = owned.filter { !members.contains($0.key) && !$0.value.isEmpty }
        guard let least = counts.min(), let most = counts.max(), others.isEmpty else { return false }
        return counts.reduce(0, +) == shards && most - least <= 1
    }

    /// What has happened since this instant.
    func history(since start: UInt64) -> History {
        changed.lock()
        defer { changed.unlock() }
        var history = History()
        var ends: [Int: (member: Int, at: UInt64)] = [:]
        for entry in entries.sorted(by: { $0.sighting.at < $1.sighting.at }) where entry.sighting.at >= start {
            let shard = entry.sighting.shard
            switch entry.sighting.what {
            case .joins: break
            case .ended: ends[shard] = (entry.member, entry.sighting.at)
            case .owned:
                history.end = max(history.end, entry.sighting.at)
                guard let end = ends.removeValue(forKey: shard) else { break }
                let gap = entry.sighting.at - end.at
                if end.member == entry.member { history.stays.append(gap) } else { history.moves.append(gap) }
                history.total[shard, default: 0] += gap
            }
        }
        return history
    }
}

/// How long shards had no owner, in nanoseconds.
struct History {
    /// When the last shard was owned.
    var end: UInt64 = 0
    /// Each time a shard came back to the same member.
    var stays: [UInt64] = []
    /// Each time another member got it.
    var moves: [UInt64] = []
    /// All that by shard.
    var total: [Int: UInt64] = [:]
}
