import MQLock

/// Many customers on a bounded number of locks.
///
/// A lock is a queue on the broker. A lock per customer would be a queue per customer, which no broker survives; a slot
/// per hash is a fixed number of queues, and customers that share a slot merely wait for each other now and then. Take
/// a few times as many slots as workers.
///
/// All workers have to agree on the number and on the names: with two numbers in use, one customer has two locks. To
/// change it, stop all workers first.
struct Slots {
    let prefix: String
    var count = 16

    struct Slot: Sendable {
        let number: Int
        let lock: LockName
    }

    func slot(of customer: String) throws(LockError) -> Slot {
        let number = Int(Self.hash(customer) % UInt64(count))
        return Slot(number: number, lock: try LockName("\(prefix)/slot-\(number)"))
    }

    /// FNV-1a: the same in every process. Swift's own `Hasher` is seeded anew at each start.
    private static func hash(_ text: String) -> UInt64 {
        text.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
