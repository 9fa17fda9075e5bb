import MQLock
import MQLockKafka

/// A service on a topic of its own: bills each order once, by writing the bill and where to go on in one transaction.
struct Billing: Sendable {
    private let ownership: ShardOwnership
    private let producer: FencedProducer
    private let bills: String

    init(_ configuration: ShardOwnership.Configuration, bills: String) throws {
        ownership = try ShardOwnership(configuration)
        producer = try FencedProducer(ownership)
        self.bills = bills
    }

    /// Until the calling task is cancelled.
    func run() async throws {
        let events = ownership.events
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await ownership.run() }
            for await event in events {
                if event.kind == .warning { print("warning \(event.reason.map(\.description) ?? "")") }
                guard let shard = event.shard, event.kind == .owned || event.kind == .regained else { continue }
                group.addTask { await bill(shard) }
            }
        }
    }

    private func bill(_ shard: Int) async {
        do {
            try await ownership.withShard(shard) { lease in
                for try await order in ownership.records(of: shard) {
                    try await producer.transaction(for: lease) { batch in
                        batch.send(bills, partition: shard, key: order.key, value: order.value)
                        batch.commit(after: order)
                    }
                }
            }
        } catch {
            // Whoever owns the shard next goes on behind what was committed.
            print("shard \(shard): \(error)")
        }
    }
}
