import ExamplesShared
import Foundation
import MQLock
import MQLockRabbitMQ

@main
struct OrderWorker {
    /// How many locks the customers share, a few times as many as there are workers. All workers need the same number:
    /// to change it, stop all of them first.
    static let slots = 16

    static func main() async {
        await Program.run {
            let options = try Options(
                flags: ["stand-still", "audit"],
                known: ["broker", "queue", "name", "ledger", "work", "expect"])
            let ledger = Ledger(directory: options.text("ledger", default: "ledger"))
            let queue = options.text("queue", default: "orders")
            if options.has("audit") {
                return try audit(ledger, expected: options.number("expect", default: 0))
            }

            try FileManager.default.createDirectory(atPath: ledger.directory, withIntermediateDirectories: true)
            let locks = try RabbitMQLocks(.init(uri: options.broker))
            let worker = Worker(
                name: options.text("name", default: "worker-\(ProcessInfo.processInfo.processIdentifier)"),
                stripes: try StripedLocks(queue, slots: slots, on: locks), ledger: ledger,
                work: .seconds(try options.number("work", default: 0.02)),
                standsStill: options.has("stand-still"))
            try await withThrowingTaskGroup { group in
                // Locks are released before the session ends, because the worker is cancelled first or together with
                // it.
                group.addTask { try await locks.run() }
                group.addTask { try await worker.run(BrokerAddress(options.broker), queue: queue) }
                defer { group.cancelAll() }
                try await group.next()
            }
        }
    }

    /// Status 1 until the ledger has as many orders as expected, and when something is wrong with it.
    private static func audit(_ ledger: Ledger, expected: Int) throws {
        let audit = try Audit(ledger, slots: slots)
        guard audit.complaints.isEmpty else { throw ExampleError(audit.complaints.joined(separator: "\n")) }
        guard audit.orders == expected else { throw ExampleError("\(audit.orders) of \(expected) orders") }
        Program.say("ledger: \(expected) orders, each once, in the order of its customer, no stale write")
    }
}
