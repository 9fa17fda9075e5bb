import ExamplesShared
import MQLock
import MQLockKafka

/// Owns shards of the lock topic, and applies the movements of the partitions with the same numbers.
struct Member: Sendable {
    let name: String
    let ownership: ShardOwnership
    let brokers: String
    let movements: String
    let journal: @Sendable (Int) -> Journal
    /// Whether to stand still before each write, for the tests.
    let standsStill: Bool

    /// Works on owned shards until the ownership ends, or something is wrong with the topic or the files: a member that
    /// owned shards and did nothing would be worse than none.
    func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for await event in ownership.events {
                guard let shard = event.shard else {
                    Program.say("\(name): \(event.reason.map(\.description) ?? "warning")")
                    continue
                }
                Program.say("\(name): \(event.kind) shard \(shard)")
                if event.kind == .owned || event.kind == .regained {
                    group.addTask { try await keep(shard) }
                }
            }
        }
    }

    /// Works on a shard as long as it is owned. The next owner applies what was not applied then.
    private func keep(_ shard: Int) async throws {
        do {
            try await ownership.withShard(shard) { lease in try await apply(shard, under: lease) }
        } catch let error as LockError where [.lost, .notOwner, .staleToken].contains(error.code) {
            Program.say("\(name): gave shard \(shard) up: \(error)")
        }
    }

    private func apply(_ shard: Int, under lease: Lease) async throws {
        let journal = journal(shard)
        let position = try journal.open(under: lease)
        Program.say("\(name): goes on with shard \(shard) at \(position), token \(lease.fencingToken)")
        let reader = try MovementReader(brokers: brokers, topic: movements, partition: shard, from: position)
        // Cancelled when the shard has to be released. Checked between two batches: the batch in hand is finished
        // first.
        while !Task.isCancelled {
            let entries = try await reader.next()
            guard let last = entries.last else { continue }
            // No check of the lease here could rule out a pause right after it. The gate is inside.
            if standsStill { Program.standStill(name) }
            try journal.append(entries, by: name, under: lease)
            Program.say("\(name): applied \(entries.count) of shard \(shard), up to \(last.offset)")
        }
    }
}
