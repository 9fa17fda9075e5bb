import Foundation
import MQLock
import Testing

@testable import MQLockRabbitMQ

extension LiveBrokerTests {
    /// The exclusive queue on the real broker.
    @Suite struct ExclusiveQueueTests {}
}

extension LiveBrokerTests.ExclusiveQueueTests {
    private func locks(
        _ broker: LiveBroker, observer: (any LockObserver)? = nil,
        settings: ((inout SessionSettings) -> Void)? = nil
    ) throws -> RabbitMQLocks {
        try broker.locks(mutex: .exclusiveQueue, observer: observer, settings: settings)
    }

    private static func tryOnce(_ locks: RabbitMQLocks, _ name: LockName) async throws -> Bool {
        guard let held = try await locks.tryAcquire(name) else { return false }
        try await held.release()
        return true
    }

    @Test func numbersGrowOverReleases() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let providers = [try locks(broker), try locks(broker), try locks(broker)]
            var last: FencingToken?
            // Twice by each: a session that contends while its own release is under way is none that re-owns.
            for round in 0..<60 {
                let held = try await providers[round / 2 % 3].acquire(name, within: .seconds(20))
                #expect(last.map { $0 < held.lease.fencingToken } ?? true)
                last = held.lease.fencingToken
                // Exclusivity is per connection: within a process the local line keeps tasks apart.
                for locks in [providers[round / 2 % 3], providers[round % 3]] where round.isMultiple(of: 10) {
                    let isGranted = try await Self.tryOnce(locks, name)
                    #expect(!isGranted)
                }
                try await held.release()
            }
            for locks in providers { await locks.shutdown() }
        }
    }

    @Test func fiveContendersAreServedInTheOrderInWhichTheyCame() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let line = try broker.objects(name).line
            let providers = try (0..<6).map { _ in try locks(broker) }
            let holder = Contender(providers[0], name)
            var last = try await holder.lease().fencingToken
            var waiters: [Contender] = []
            for locks in providers.dropFirst() {
                waiters.append(Contender(locks, name))
                try await eventually("\(waiters.count) waiters in line") {
                    try await broker.consumers(of: line) == waiters.count + 1
                }
            }
            #expect(try await holder.release() == nil)
            for (index, waiter) in waiters.enumerated() {
                let lease = try await waiter.lease()
                #expect(lease.fencingToken > last)
                last = lease.fencingToken
                #expect(waiters.dropFirst(index + 1).allSatisfy { $0.outcome.current == nil })
                #expect(try await waiter.release() == nil)
            }
            for locks in providers { await locks.shutdown() }
        }
    }

    /// Whoever comes second is refused, whichever mutex it has, and told which the other has.
    @Test(arguments: [
        (RabbitMQLocks.Mutex.exclusiveQueue, RabbitMQLocks.Mutex.token), (.exclusiveQueue, .singleActiveConsumer),
        (.token, .exclusiveQueue), (.singleActiveConsumer, .exclusiveQueue),
    ])
    func anotherMutexOnTheSameNameIsRefused(_ first: RabbitMQLocks.Mutex, _ second: RabbitMQLocks.Mutex) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (one, other) = (try broker.locks(mutex: first), try broker.locks(mutex: second))
            let held = try await one.acquire(name, within: .seconds(20))
            for _ in 0..<2 {
                let error = try #require(try await Contender(other, name, within: .seconds(20)).failure())
                #expect(error.code == .incompatible)
                #expect(error.message.contains("(\(first))") && error.message.contains("(\(second))"), "\(error)")
            }
            #expect(held.lease.isValid)
            try await held.release()
            await one.shutdown()
            await other.shutdown()
        }
    }

    /// The line's token is exchanged, time after time, and a waiter is served nothing.
    @Test func renewalKeepsThePlaceInLine() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let holding = try locks(broker, settings: { $0.renewalInterval = .milliseconds(20) })
            let waiting = try locks(broker)
            let holder = Contender(holding, name)
            let lease = try await holder.lease()
            let refusals = try await Refusals(broker)
            let waiter = Contender(waiting, name)
            try await Task.sleep(for: .seconds(1))
            #expect(lease.isValid)
            #expect(waiter.outcome.current == nil)
            #expect(try await holder.release() == nil)
            #expect(try await waiter.lease().fencingToken > lease.fencingToken)
            #expect(try refusals.all(of: name).count == 0)
            #expect(try await waiter.release() == nil)
            await holding.shutdown()
            await waiting.shutdown()
        }
    }

    @Test func aTryAnswersSoon() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let (one, other) = (try locks(broker), try locks(broker))
            // Nothing is there yet: it makes all of it, and is granted.
            guard let held = try await one.tryAcquire(name) else {
                Issue.record("a try did not get a lock that nobody has")
                return
            }
            for _ in 0..<5 {
                let start = ContinuousClock.now
                let isGranted = try await Self.tryOnce(other, name)
                #expect(!isGranted)
                #expect(start.duration(to: .now) < .seconds(2))
            }
            try await held.release()
            // A release is on its way to the broker when it returns, and the next try may be there before.
            for locks in [one, other, one, other] {
                try await eventually("a try is granted") { try await Self.tryOnce(locks, name) }
            }
            await one.shutdown()
            await other.shutdown()
        }
    }

    enum Victim: String, CaseIterable, CustomTestStringConvertible {
        case queue, line
        var testDescription: String { rawValue }
    }

    /// A holder is notified at once when its queue goes. When the line goes the hold goes on: the queue is the lock. Waiters
    /// get the lock all the same, with larger numbers.
    @Test(arguments: Victim.allCases) func aQueueIsDeleted(_ victim: Victim) async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let objects = try broker.objects(name)
            let providers = [try locks(broker), try locks(broker), try locks(broker)]
            let holder = Contender(providers[0], name)
            let lease = try await holder.lease()
            let waiters = providers.dropFirst().map { Contender($0, name) }
            try await eventually("two waiters in line") { try await broker.consumers(of: objects.line) == 3 }
            switch victim {
            case .queue: try await broker.ctl("delete_queue", objects.queue)
            case .line: try broker.raw { try $0.delete(objects.line) }
            }
            if victim == .line {
                try await eventually("the waiters in a new line") { try await broker.consumers(of: objects.line) == 2 }
                #expect(lease.isValid)
                #expect(try await holder.release() == nil)
            } else {
                #expect(try await lease.lossReason()?.kind == .queueDeleted)
                #expect(try await holder.release()?.code == .lost)
            }
            var last = lease.fencingToken
            var open = Array(waiters)
            while !open.isEmpty {
                try await eventually("a waiter's grant") { open.contains { $0.outcome.current != nil } }
                let granted = open.filter { $0.outcome.current != nil }
                #expect(granted.count == 1, "one holder at a time")
                let next = try await granted[0].lease()
                #expect(next.fencingToken > last)
                last = next.fencingToken
                #expect(try await granted[0].release() == nil)
                open.removeAll { $0 === granted[0] }
            }
            for locks in providers { await locks.shutdown() }
        }
    }

    @Test func whatIsForeignIsDroppedAndReported() async throws {
        let broker = try LiveBrokerTests.broker()
        try await broker.withName { name in
            let log = EventLog()
            let objects = try broker.objects(name)
            let locks = try locks(broker, observer: log)
            let held = try await locks.acquire(name, within: .seconds(20))
            try broker.raw { client in
                for queue in [objects.queue, objects.line] {
                    try client.publish(Array("hello".utf8), to: queue)
                    try client.publish([UInt8](repeating: 0, count: 3_000_000), to: queue)
                }
            }
            try await eventually("four foreign messages") { log.events.filter { $0.kind == .foreign }.count == 4 }
            #expect(held.lease.isValid)
            let token = held.lease.fencingToken
            try await held.release()
            let next = try await locks.acquire(name, within: .seconds(20))
            #expect(next.lease.fencingToken > token)
            try await next.release()
            await locks.shutdown()
        }
    }
}
