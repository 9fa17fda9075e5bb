import MQLock
import MQLockRabbitMQ
import Testing

@testable import MQLockTool

@Suite("Unused locks, by the broker's list of queues")
struct UnusedLocksTests {
    private typealias Queue = UnusedLocks.Queue

    private func found(_ queues: [UnusedLocks.Queue], _ pattern: String = "*") -> UnusedLocks {
        UnusedLocks(queues, matching: NamePattern(pattern))
    }

    @Test("the mutex is that of the queue, whatever the order of the list")
    func mutexes() {
        let queues = [
            Queue(name: "mqlock.v1/a", messages: 1, isSingleActiveConsumer: true),
            Queue(name: "mqlock.v1/b", messages: 1), Queue(name: "mqlock.v1.seeded/b"),
            Queue(name: "mqlock.v1.line/c", messages: 1, isSingleActiveConsumer: true),
        ]
        for queues in [queues, queues.reversed()] {
            #expect(found(queues).unused == ["a": .singleActiveConsumer, "b": .token, "c": .exclusiveQueue])
            #expect(found(queues).kept.isEmpty)
        }
    }

    @Test("a lock is used when any of its queues is", arguments: ["mqlock.v1", "mqlock.v1.seeded", "mqlock.v1.line"])
    func used(prefix: String) {
        var queues = [Queue(name: "mqlock.v1/a"), Queue(name: "mqlock.v1.line/a"), Queue(name: "mqlock.v1.seeded/a")]
        for index in queues.indices where queues[index].name == "\(prefix)/a" { queues[index].isUsed = true }
        #expect(found(queues) == found(queues.reversed()))
        #expect(found(queues).unused.isEmpty && found(queues).kept == ["a": .used])
    }

    @Test("a lock with marks is kept; what only has marks is no lock")
    func marked() {
        let lock = Queue(name: "mqlock.v1/a", isSingleActiveConsumer: true)
        #expect(found([lock, Queue(name: "mqlock.v1.done/a", messages: 1)]).kept == ["a": .marked])
        #expect(found([Queue(name: "mqlock.v1.done/a", messages: 1), lock]).unused.isEmpty)
        #expect(found([lock, Queue(name: "mqlock.v1.done/a")]).unused == ["a": .singleActiveConsumer])
        #expect(found([Queue(name: "mqlock.v1.done/a", messages: 1)]) == found([]))
    }

    @Test("only what matches, and only what is ours")
    func matching() {
        let queues = [
            "mqlock.v1/order%2525/1", "mqlock.v1/tenant/1", "orders", "mqlock.v1.reply/x", "mqlock.v1/%zz",
            "mqlock.v1/",
        ]
        .map { Queue(name: $0) }
        #expect(found(queues, "tenant/*").unused.keys.map(\.string) == ["tenant/1"])
        #expect(found(queues, "order*").unused.keys.map(\.string) == ["order%25/1"])
        #expect(found(queues, "*").unused.count == 2)
    }
}
