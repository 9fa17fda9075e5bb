import ExamplesShared
import MQLock

/// Gets orders from the queue and handles each under the lock of its customer's slot.
struct Worker: Sendable {
    let name: String
    /// A lock is a queue on the broker. A lock per customer would be a queue per customer, too many for any broker.
    let stripes: StripedLocks
    let ledger: Ledger
    /// How long an order takes.
    let work: Duration
    /// Whether to stand still before each entry, for the tests.
    let standsStill: Bool

    /// How long an order waits for its customer's lock before another worker may try. A stopped holder's lock passes on
    /// after two to three heartbeats, so a wait that fails takes longer than that.
    private static let patience = Duration.seconds(60)
    /// How long an order that came too early stays here. It then goes back to its old place in the queue, behind the
    /// order that it waits for once that one is back.
    private static let pause = Duration.milliseconds(100)

    /// Runs until cancelled; the order in hand then goes to another worker.
    func run(_ address: BrokerAddress, queue: String) async throws {
        var failures = 0
        while !Task.isCancelled {
            let consumer = Consumer(address, queue: queue)
            defer { consumer.close() }
            do {
                for try await delivery in consumer.deliveries {
                    failures = 0
                    consumer.settle(delivery, try await verdict(on: delivery))
                }
            } catch let error as ExampleError {
                // A service has a supervisor, so this one does not try without end.
                failures += 1
                guard failures < 10 else { throw error }
                Program.say("\(name): no orders, trying again: \(error)")
                try await Task.sleep(for: .seconds(1))
            }
        }
    }

    /// Handles an order. Whatever happens, it is in the ledger before the broker is asked to forget it. After a crash
    /// in between it comes again, and the ledger knows it.
    func verdict(on delivery: Delivery) async throws -> Consumer.Verdict {
        guard let order = Order(message: delivery.body) else {
            Program.say("\(name): threw away a message that is no order")
            return .throwAway
        }
        do {
            let slot = stripes.slot(of: order.customer)
            let standing = try await stripes.withLock(order.customer, within: Self.patience) { lease in
                let standing = try ledger.standing(of: order, in: slot, under: lease)
                if standing == .due { try await handle(order, in: slot, under: lease) }
                return standing
            }
            switch standing {
            case .due: return .done
            case .done:
                Program.say("\(name): \(order) was done before")
                return .done
            case .early(let next):
                Program.say("\(name): \(order) is early, \(next) comes first")
                // Without the lock, which the worker with the earlier order needs.
                try await Task.sleep(for: Self.pause)
                return .putBack
            }
        } catch let error as LockError where [.lost, .timedOut, .unreachable].contains(error.code) {
            // Lost: a successor may be working on it, or have done it. We let go; the ledger settles the rest.
            Program.say("\(name): gave \(order) up: \(error)")
            return .putBack
        }
    }

    private func handle(_ order: Order, in slot: Int, under lease: Lease) async throws {
        Program.say("\(name): handles \(order), token \(lease.fencingToken)")
        // The work itself. `withLock` cancels it when the lock is lost.
        try await Task.sleep(for: work)
        // A step without a gate of its own, such as a payment, would have `lease.check(atLeast:)` before it and the
        // order as its idempotency key: no check can rule out a pause right after it. The ledger needs none, because
        // its gate is inside.
        if standsStill { Program.standStill(name) }
        try ledger.enter(order, by: name, in: slot, under: lease)
        Program.say("\(name): entered \(order), token \(lease.fencingToken)")
    }
}
