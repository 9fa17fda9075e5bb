import MQLock
import MQLockKafka

/// Bills each order once: the bill, and where to go on with the orders, are written in one transaction.
struct Billing: Sendable {
    private let ownership: ShardOwnership
    private let output: FencedProducer
    private let bills: String

    init(_ configuration: ShardOwnership.Configuration, bills: String) throws {
        ownership = try ShardOwnership(configuration)
        output = try FencedProducer(ownership)
        self.bills = bills
    }

    /// Until the calling task is cancelled.
    func run() async throws {
        let events = ownership.events
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { try await ownership.run() }
            for await event in events {
                switch event.kind {
                case .warning: print("warning: \(event.reason?.detail ?? "")")
                case .owned, .regained:
                    guard let shard = event.shard else { break }
                    group.addTask { await bill(shard) }
                default: break
                }
            }
        }
    }

    /// As long as this process owns the shard. What is not committed by then, the next owner bills.
    private func bill(_ shard: Int) async {
        do {
            try await ownership.withShard(shard) { lease in
                for try await order in ownership.records(of: shard) {
                    try await output.transaction(for: lease) { batch in
                        batch.send(bills, partition: shard, key: order.key, value: order.value)
                        batch.commit(after: order)
                    }
                }
            }
        } catch {
            print("shard \(shard) is given up: \(error)")
        }
    }
}
